"""The mixed precision that the device can do, so that one recipe runs everywhere."""

from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from react_mm.engine.autocast import AutocastOptimWrapper
from react_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module(name="MixedPrecisionOptimWrapper")
def mixed_precision_optim_wrapper(
    optimizer: torch.optim.Optimizer,
    accumulative_counts: int = 1,
    clip_grad: dict[str, Any] | None = None,
) -> OptimWrapper:
    """float16 with dynamic loss scaling on CUDA (as REACT trained), bfloat16 elsewhere.

    Args:
        optimizer: What steps.
        accumulative_counts: Batches whose gradients are added before a step.
        clip_grad: Arguments of gradient clipping; None: none, as in REACT.

    Returns:
        mmengine's ``AmpOptimWrapper``, or :class:`react_mm.AutocastOptimWrapper` on the CPU.
    """
    kept = dict(optimizer=optimizer, accumulative_counts=accumulative_counts, clip_grad=clip_grad)
    if torch.cuda.is_available():
        return AmpOptimWrapper(dtype="float16", loss_scale="dynamic", **kept)
    return AutocastOptimWrapper(dtype="bfloat16", device_type="cpu", **kept)
