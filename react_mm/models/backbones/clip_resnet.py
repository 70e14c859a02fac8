"""CLIP's ModifiedResNet from open_clip as an image tower: pooled embedding, locked-text tuning."""

from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from react_mm.models.backbones.open_clip_tower import PooledTower
from react_mm.registry import MODELS


@MODELS.register_module()
class CLIPResNet(PooledTower):
    """open_clip's ``ModifiedResNet`` (RN50 to RN50x64); see :class:`PooledTower`.

    Its methods are ``full``, ``locked-text`` and ``locked-image``: it has no transformer blocks for
    gates or LoRA. Batch norm keeps the statistics of the base in all of them.
    """

    tower_class = ModifiedResNet
    stride = 32

    def insertion_points(self) -> list[nn.Module]:
        """Refused: gated blocks go between transformer blocks.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"method 'gated-image' needs transformer blocks; {self.arch!r} is a ModifiedResNet: "
            "use locked-text, locked-image or full"
        )

    def gate_options(self) -> dict[str, Any]:
        """Refused, see :meth:`insertion_points`."""
        self.insertion_points()
        return {}

    @property
    def tap_channels(self) -> int:
        """Channels of the last stage."""
        return self.visual.attnpool.c_proj.in_features
