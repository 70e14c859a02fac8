"""Mixed precision where mmengine's AmpOptimWrapper refuses: bfloat16 on the CPU."""

from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from react_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass under ``torch.autocast`` without loss scaling.

    bfloat16 has float32's range, so gradients need no scaling; the parameters and the optimiser
    stay in float32. For float16 on CUDA take mmengine's ``AmpOptimWrapper``.

    Args:
        dtype: ``bfloat16`` only.
        device_type: ``cpu`` or ``cuda``.
        **kwargs: Those of ``OptimWrapper``.

    Raises:
        ValueError: If ``dtype`` is another.
    """

    def __init__(self, dtype: str = "bfloat16", device_type: str = "cpu", **kwargs) -> None:
        if dtype != "bfloat16":
            raise ValueError(
                f"AutocastOptimWrapper: dtype {dtype!r} needs loss scaling; use bfloat16 here or "
                "mmengine's AmpOptimWrapper on CUDA"
            )
        super().__init__(**kwargs)
        self.device_type = device_type

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Adds autocast to what ``OptimWrapper`` does (gradient synchronisation)."""
        autocast = torch.autocast(self.device_type, torch.bfloat16)
        with super().optim_context(model), autocast, self._kernel():
            yield

    def backward(self, loss: torch.Tensor, **kwargs) -> None:
        """Uses the forward pass's kernel, for activations that are recomputed (``with_cp``)."""
        with self._kernel():
            super().backward(loss, **kwargs)

    def _kernel(self) -> AbstractContextManager:
        # The fused kernel's bfloat16 backward on the CPU is several times slower.
        return sdpa_kernel(SDPBackend.MATH) if self.device_type == "cpu" else nullcontext()
