"""Features of a second transformer, as they are: no joint space, only which cells are alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from react_mm.checkpoints import load_state
from react_mm.models.layers.timm_tokens import embed_patches
from react_mm.registry import MODELS


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """Patch tokens of any of timm's ``VisionTransformer`` (DINO, DINOv2, MAE) or ``Eva``, frozen.

    Args:
        arch: timm's name, e.g. ``vit_base_patch8_224.dino``.
        pretrained: Whether timm fetches the weights of that name (from its hub).
        checkpoint: Local state dict under timm's keys instead; heads in it are left out.
        mean: Channel means (values in 0..1); None: those timm names for the architecture.
        std: Channel standard deviations; as ``mean``.
        options: Further arguments of ``timm.create_model``.
        init_cfg: Must be None: weights come from the arguments above.

    Attributes:
        stride: Pixels per cell.
        channels: Channels of the map.

    Raises:
        ValueError: If the architecture is no plain transformer, or weights are lacking in the
            checkpoint (they are named).
    """

    def __init__(
        self,
        arch: str,
        pretrained: bool = False,
        checkpoint: str | Path | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        options: Mapping[str, Any] | None = None,
        init_cfg: None = None,
    ) -> None:
        super().__init__()
        # On the meta device (config checks) only shapes count.
        pretrained = pretrained and torch.get_default_device().type != "meta"
        self.trunk = timm.create_model(
            arch, pretrained=pretrained, num_classes=0, **dict(options or {})
        )
        if not isinstance(self.trunk, VisionTransformer | Eva):
            raise ValueError(
                f"{arch!r} is a {type(self.trunk).__name__}; react_mm.TimmFeatures runs timm's "
                "VisionTransformer and Eva"
            )
        if checkpoint is not None:
            _load(self.trunk, checkpoint)
        known = self.trunk.pretrained_cfg or {}
        for name, given in (("mean", mean), ("std", std)):
            values = torch.tensor(tuple(given or known[name])).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.stride = self.trunk.patch_embed.patch_size[0]
        self.channels = self.trunk.embed_dim
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features of pictures whose sides are multiples of the stride.

        Args:
            pictures: RGB in 0..1, float (B, 3, H, W).

        Returns:
            Float (B, C, H / stride, W / stride), after the last norm.
        """
        images = (pictures - self.mean) / self.std
        x, rotary, grid = embed_patches(self.trunk, images)
        for block in self.trunk.blocks:
            x = block(x) if rotary is None else block(x, rope=rotary)
        x = self.trunk.norm(x)[:, self.trunk.num_prefix_tokens :]
        return x.transpose(1, 2).unflatten(2, grid)

    def of_extent(self, pictures: Tensor) -> Tensor:
        """Features of pictures of any size, whose cells cover the picture exactly.

        A picture that is no multiple of the stride is enlarged to the next one.

        Args:
            pictures: As in :meth:`forward`.
        """
        size = [-(-side // self.stride) * self.stride for side in pictures.shape[-2:]]
        if size != list(pictures.shape[-2:]):
            pictures = F.interpolate(pictures, size, mode="bilinear", align_corners=False)
        return self(pictures)

    def train(self, mode: bool = True) -> "TimmFeatures":
        """Stays in eval mode."""
        return super().train(False)

    def init_weights(self) -> None:
        """Does nothing: mmengine would overwrite the weights."""
        self._is_init = True


def _load(trunk: torch.nn.Module, path: str | Path) -> None:
    state = load_state(path)
    own = trunk.state_dict()
    lacking = [key for key in own if key not in state]
    unfit = [key for key in own if key in state and state[key].shape != own[key].shape]
    if lacking or unfit:
        raise ValueError(
            f"{path}: of the {len(own)} weights {len(lacking)} are lacking ({lacking[:3]}) and "
            f"{len(unfit)} have another shape ({unfit[:3]}): weights of another architecture?"
        )
    trunk.load_state_dict({key: state[key] for key in own})
