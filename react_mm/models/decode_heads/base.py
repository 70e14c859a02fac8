"""What decode heads with class embeddings as classifier share."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import mmseg.models.losses  # noqa: F401  (registers mmseg.CrossEntropyLoss)
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.registry import MODELS

Similarity = Callable[[Tensor], Tensor]
"""From embeddings (..., D) to cosines (..., C): ``OpenVocabulary.class_similarity``."""


class OpenVocabularyDecodeHead(BaseModule):
    """Head between a tower's dense embedding and the class embeddings.

    It holds no class and no class embedding: those are the segmentor's, handed in as a function.
    Each head starts as the training-free segmentor: what it adds is zero before training.

    Args:
        embed_dim: Dimension D of the joint space.
        tap_channels: Channels of the tower's last tap, which is then a guide beside the dense
            embedding; None: the dense embedding alone.
        temperature: Start value of the learned temperature (logits = cosine / temperature).
        loss_decode: Config of mmseg's loss, or several.
    """

    def __init__(
        self,
        embed_dim: int,
        tap_channels: int | None = None,
        temperature: float = 0.05,
        loss_decode: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__()
        self.embed_dim, self.tap_channels = embed_dim, tap_channels
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        losses = loss_decode or dict(type="mmseg.CrossEntropyLoss", avg_non_ignore=True)
        losses = [losses] if isinstance(losses, dict) else list(losses)
        self.loss_decode = nn.ModuleList(MODELS.build(dict(loss)) for loss in losses)

    @property
    def temperature(self) -> Tensor:
        """The learned temperature, in .005 to 1: logits of at most 200."""
        return self.log_temperature.exp().clamp(0.005, 1.0)

    @property
    def guide_channels(self) -> int:
        """Channels of :meth:`guide`."""
        return self.embed_dim + (self.tap_channels or 0)

    def guide(self, dense: Tensor, taps: Sequence[Tensor]) -> Tensor:
        """Dense embedding and, where asked for, the last tap, each normalised per cell.

        Args:
            dense: Float (B, D, h, w).
            taps: Float (B, C, h, w) each; the last one is used.

        Returns:
            Float (B, guide_channels, h, w).

        Raises:
            ValueError: If the tap has other channels or another grid than the head was built for.
        """
        unit = nn.functional.normalize(dense, dim=1)
        if self.tap_channels is None:
            return unit
        tap = taps[-1]
        if tap.shape[1] != self.tap_channels or tap.shape[-2:] != dense.shape[-2:]:
            raise ValueError(
                f"decode head: the last tap is {tuple(tap.shape[1:])}, expected "
                f"{self.tap_channels} channels on the grid {tuple(dense.shape[-2:])}"
            )
        tap = nn.functional.layer_norm(tap.movedim(1, -1), tap.shape[1:2]).movedim(-1, 1)
        return torch.cat([unit, tap], dim=1)

    @abstractmethod
    def forward(self, dense: Tensor, taps: Sequence[Tensor], similarity: Similarity) -> Tensor:
        """Logits of every class in every cell.

        Args:
            dense: Dense embedding float (B, D, h, w), any norm.
            taps: Taps of the tower.
            similarity: See :data:`Similarity`.

        Returns:
            Float (B, C, h', w'), a grid over the same picture, as fine as the head makes it.
        """

    def loss(self, logits: Tensor, labels: Tensor, ignore_index: int) -> dict[str, Tensor]:
        """The losses by name.

        Args:
            logits: Float (B, C, H, W).
            labels: int64 (B, H, W).
            ignore_index: Label of pixels that do not count.
        """
        found: dict[str, Tensor] = {}
        for loss in self.loss_decode:
            value = loss(logits, labels, ignore_index=ignore_index)
            found[loss.loss_name] = found.get(loss.loss_name, 0) + value
        return found


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its parameters at zero: what follows it starts as if it were not there."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
