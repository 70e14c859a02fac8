"""The offline base for photographs: an image tower from pip packages, without any download.

EfficientNet-Lite0 (frozen, ImageNet) gives tokens of 1280 channels at stride 32; gated blocks may
run on them; their mean goes through a head fixed in closed form into the space of a sentence
encoder (:class:`react_mm.LiteText`). It stands behind the same interface as CLIP's ViT.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.models.backbones.base import ImageSizes, ImageTower
from react_mm.models.lite_backbone import (
    LEVELS,
    MEAN,
    STD,
    STRIDE,
    WIDTH,
    LiteTrunk,
    group_by_size,
    pad_to_stride,
    place,
)
from react_mm.models.lite_head import NameHead
from react_mm.models.lite_text import DIMENSION
from react_mm.registry import MODELS

TAPS = (*((stride, channels) for _, stride, channels in LEVELS), (STRIDE, WIDTH))


class TokenStage(nn.Module):
    """A place in the token sequence in front of which a gated block can be inserted."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Returns the tokens, float (B, N, C), as they are."""
        return x


@MODELS.register_module()
class LiteImageTower(ImageTower):
    """EfficientNet-Lite0 and a closed-form head as an image tower.

    The pooled embedding is the head of the mean token, the dense embedding the head of each token
    (which is what MaskCLIP's surgery makes of an attention pooling; mean pooling needs none, so
    there is one dense mode). Images of a padded batch run in groups of equal size, cut to their
    valid part: a batch of two equals two batches of one.

    Tokens of the frozen trunk may be given instead of images, see :meth:`prefix`.

    Args:
        image_size: Side in pixels that images are resized to; a multiple of 32.
        head: Arguments of :class:`react_mm.models.lite_head.NameHead`.
        stages: Places for gated blocks on the last tokens; K of gated-image is at most this.
        delta: Customized weights (.safetensors with its card beside it) put on top.
        gate_scale: Scale of the delta's gates in [0, 1]; None leaves what the delta says.
        out_indices: Taps: 0 to 3 are the trunk's maps of strides 4, 8, 16, 32 (24, 40, 112, 320
            channels), 4 (or -1) the tokens after the gates (1280 channels, stride 32).
        dense_mode: ``vanilla``.
        frozen: Whether nothing is trained, gates included.
        init_cfg: Must be None: the weights come from the pip packages.

    Raises:
        ModuleNotFoundError: If the extra ``lite`` is not installed.
        ValueError: If an argument does not fit; the message names it.
    """

    dense_modes = ("vanilla",)

    def __init__(
        self,
        image_size: int = 160,
        head: Mapping[str, Any] | None = None,
        stages: int = 1,
        delta: str | None = None,
        gate_scale: float | None = None,
        out_indices: Sequence[int] = (-1,),
        dense_mode: str = "vanilla",
        frozen: bool = True,
        init_cfg: None = None,
    ) -> None:
        if init_cfg is not None:
            raise ValueError("LiteImageTower takes no init_cfg: its weights come from pip packages")
        if image_size < STRIDE or image_size % STRIDE:
            raise ValueError(f"image_size must be a multiple of {STRIDE}, got {image_size}")
        if dense_mode not in self.dense_modes:
            raise ValueError(
                f"dense_mode {dense_mode!r}: the lite tower pools by mean, each token is already "
                "in the joint space; its only mode is 'vanilla'"
            )
        for index in out_indices:
            if not -len(TAPS) <= index < len(TAPS):
                raise ValueError(f"out_indices: {index} is outside 0..{len(TAPS) - 1}")
        super().__init__()
        self.arch = "efficientnet-lite0"
        self.dense_mode, self.embed_dim, self.stride = dense_mode, DIMENSION, STRIDE
        self.out_indices = [index % len(TAPS) for index in out_indices]
        channels = [TAPS[index][1] for index in self.out_indices]
        self.tap_channels = channels[0] if len(set(channels)) == 1 else tuple(channels)
        self.preprocess = {
            "size": (image_size, image_size),
            "mean": MEAN,
            "std": STD,
            "interpolation": "bicubic",
        }
        self.trunk = LiteTrunk()
        self.stages = nn.ModuleList(TokenStage() for _ in range(stages))
        self.head = NameHead(**(head or {}))
        if delta is not None:
            from react_mm.models.customization import apply_delta

            apply_delta(self, delta, gate_scale)
        elif gate_scale is not None:
            raise ValueError("gate_scale is given without a delta: there are no gates to scale")
        if frozen:
            self.freeze()

    def insertion_points(self) -> list[nn.Module]:
        """The places on the last tokens, first to last."""
        return list(self.stages)

    def gate_options(self) -> dict[str, Any]:
        """8 heads and an MLP of ratio 1 on 1280 channels."""
        return {"width": WIDTH, "heads": 8, "mlp_ratio": 1.0, "act_layer": nn.GELU}

    def prefix(self, x: Tensor) -> Tensor:
        """What runs below the gates and never changes while they train: it may be stored.

        Args:
            x: Normalised images, float (B, 3, H, W).

        Returns:
            Tokens, float (B, N, 1280), which :meth:`encode_image` takes in place of the images.
        """
        return self._tokens(self._trunk(pad_to_stride(x))[-1])

    def prefix_state(self) -> dict[str, Tensor]:
        """The weights that :meth:`prefix` depends on."""
        return {f"trunk.{k}": v for k, v in self.trunk.state_dict().items()}

    def encode_image(self, x: Tensor) -> Tensor:
        """Pooled embedding (B, 384), not normalised.

        Args:
            x: Normalised images, float (B, 3, H, W), or tokens of :meth:`prefix`, float (B, N, C).
        """
        tokens = x.to(self.head.names.dtype) if x.ndim == 3 else self.prefix(x)
        return self.head(self._gated(tokens).mean(1), self.trunk)

    def dense_embedding(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """Dense embedding (B, 384, h, w), not normalised.

        Args:
            x: Normalised images, float (B, 3, H, W), or tokens of :meth:`prefix` of square images,
                float (B, N, C).
            image_sizes: As in :meth:`ImageTower.forward_all`; images only.

        Raises:
            ValueError: If the tokens are not those of a square image.
        """
        if x.ndim != 3:
            return self.forward_all(x, image_sizes)["dense"]
        side = math.isqrt(x.shape[1])
        if side * side != x.shape[1]:
            raise ValueError(f"{x.shape[1]} stored tokens are no square map: give the images")
        tokens = self._gated(x.to(self.head.names.dtype))
        return _to_map(self.head(tokens, self.trunk), (side, side))

    def forward_all(self, x: Tensor, image_sizes: ImageSizes | None = None) -> dict[str, Any]:
        """Taps, dense and pooled embedding in one pass; see :class:`ImageTower`."""
        batch, height, width = len(x), *pad_to_stride(x[:1]).shape[-2:]
        if image_sizes is None:
            image_sizes = [tuple(x.shape[-2:])] * batch
        taps: list[list] = [[] for _ in self.out_indices]
        dense, pooled = [], x.new_zeros(batch, self.embed_dim, dtype=self.head.names.dtype)
        for size, rows in group_by_size(image_sizes).items():
            maps = self._trunk(pad_to_stride(x[rows], size))
            grid = maps[-1].shape[-2:]
            tokens = self._gated(self._tokens(maps[-1]))
            maps[-1] = _to_map(tokens, grid)
            dense.append((rows, _to_map(self.head(tokens, self.trunk), grid)))
            pooled[rows] = self.head(tokens.mean(1), self.trunk).to(pooled.dtype)
            for kept, index in zip(taps, self.out_indices, strict=True):
                kept.append((rows, maps[index]))
        placed = [
            place(kept, batch, height // TAPS[index][0], width // TAPS[index][0])
            for kept, index in zip(taps, self.out_indices, strict=True)
        ]
        cells = place(dense, batch, height // STRIDE, width // STRIDE)
        return {"taps": tuple(placed), "dense": cells, "pooled": pooled}

    def _trunk(self, x: Tensor) -> list[Tensor]:
        trained = any(p.requires_grad for p in self.trunk.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            return self.trunk(x)

    def _gated(self, tokens: Tensor) -> Tensor:
        for stage in self.stages:
            tokens = stage(tokens, attn_mask=None)
        return tokens

    @staticmethod
    def _tokens(features: Tensor) -> Tensor:
        return features.flatten(2).transpose(1, 2)


def _to_map(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)
