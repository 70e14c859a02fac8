"""L2 to the start: the plain way not to forget, for methods that change the base's own weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.registry import MODELS

FITTING = ("full", "locked-text", "locked-image")


@MODELS.register_module()
class L2ToStart(nn.Module):
    """weight * sum over trained parameters of |p - p_start|^2 (L2-SP, arXiv 1802.01483, eq. 1).

    Gates start at zero and LoRA at no update: for them the start is weight decay's own target, so
    that this term is refused there.

    Args:
        weight: Factor of the squared distance.
    """

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight
        self._start: list[tuple[str, Tensor]] = []  # no part of the state dict

    def remember(self, model: Any) -> None:
        """Keeps the weights of ``model`` as it was built, before any checkpoint is resumed.

        Raises:
            ValueError: If the method does not train the base's own weights.
        """
        if model.method not in FITTING:
            raise ValueError(
                f"L2ToStart is for the methods {', '.join(FITTING)}; {model.method!r} trains none "
                "of the base's own weights (use weight decay, the teacher or the gate scale)"
            )
        self._start = [(n, p.detach().clone()) for n, p in _trained(model)]

    def forward(
        self,
        model: Any,
        inputs: Tensor,
        embedded: Tensor,
        pairs: Tensor,
        batch: Mapping[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """See :meth:`react_mm.models.clip.CLIP.regularization`; returns ``loss_l2_to_start``."""
        now = dict(_trained(model))
        total = torch.zeros((), device=embedded.device)
        for position, (name, start) in enumerate(self._start):
            if start.device != now[name].device:
                start = start.to(now[name].device)
                self._start[position] = (name, start)
            total = total + (now[name].float() - start.float()).square().sum()
        return {"loss_l2_to_start": self.weight * total}


def _trained(model: Any) -> list[tuple[str, nn.Parameter]]:
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad and n != "logit_scale"]
