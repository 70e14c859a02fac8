"""CLIP's ModifiedResNet from open_clip as an image tower for images of any size."""

from collections.abc import Sequence
from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from react_mm.models.backbones.open_clip_tower import OpenClipTower, resolve_indices
from react_mm.models.layers.attention_pool import (
    attention_pool,
    cell_embeddings,
    pool_by_attention,
)
from react_mm.registry import MODELS


@MODELS.register_module()
class CLIPResNet(OpenClipTower):
    """open_clip's ``ModifiedResNet`` (RN50 to RN50x64); see :class:`OpenClipTower`.

    Taps are the stages C2 to C5 (strides 4, 8, 16, 32), for mmdet's ``FPN``. The dense embedding is
    MaskCLIP's for ResNets: value and output projection of the attention pooling, cell by cell.
    Regions are pooled as F-VLM does, by RoIAlign on the last stage and CLIP's own frozen attention
    pooling, so that :meth:`taps_and_dense` and :meth:`region_map` give the last stage C5 (B, C, h,
    w) and not the dense embedding.

    Its methods are ``full``, ``locked-text`` and ``locked-image``: it has no transformer blocks for
    gates or LoRA. Batch norm keeps the statistics of the base in all of them.

    Args:
        arch: See :class:`OpenClipTower`, as the rest.
        out_indices: Stages given as taps: 0 (C2) to 3 (C5); negative ones count from the end.
    """

    tower_class = ModifiedResNet
    region_part = "last"
    stride = 32

    def __init__(
        self,
        arch: str,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        delta: str | None = None,
        gate_scale: float | None = None,
        out_indices: Sequence[int] = (-1,),
        frozen: bool | str = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        init_cfg: None = None,
    ) -> None:
        super().__init__(
            arch, pretrained, checkpoint, delta, gate_scale, frozen, mean, std, init_cfg
        )
        self.out_indices = resolve_indices(out_indices, 4)

    @property
    def tap_channels(self) -> int | tuple[int, ...]:
        """Channels of the taps; one number where they are the same."""
        last = self.visual.attnpool.c_proj.in_features
        channels = tuple(last >> (3 - index) for index in self.out_indices)
        return channels[0] if len(set(channels)) == 1 else channels

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

    def run(self, images: Tensor, parts: Sequence[str]) -> dict[str, Any]:
        """Runs images without padding; see :meth:`OpenClipTower.run`."""
        x, stages = self.visual.stem(images), []
        for number in range(1, 5):
            x = getattr(self.visual, f"layer{number}")(x)
            stages.append(x)
        out: dict[str, Any] = {"taps": tuple(stages[i] for i in self.out_indices), "last": x}
        if "dense" in parts:
            out["dense"] = cell_embeddings(self.visual.attnpool, x)
        if "pooled" in parts:
            out["pooled"] = attention_pool(self.visual.attnpool, x)
        return out

    def pool_regions(self, dense: Tensor, rois: Tensor, bins: int = 7) -> Tensor:
        """Embeddings of regions by the frozen attention pooling (F-VLM).

        Args:
            dense: What :meth:`taps_and_dense` or :meth:`region_map` returned: C5, float (B, C, h,
                w). (The dense embedding is in the joint space already and cannot be pooled so.)
            rois: Regions float (N, 5): image index, x1, y1, x2, y2 in input pixels.
            bins: Bins per side of the RoIAlign; F-VLM: 7.

        Returns:
            Float (N, D), not normalised.

        Raises:
            ValueError: If ``dense`` has not the channels of C5.
        """
        pool = self.visual.attnpool
        if dense.shape[1] != pool.c_proj.in_features:
            raise ValueError(
                f"pool_regions of {self.arch!r} takes its last stage of {pool.c_proj.in_features} "
                f"channels, got {dense.shape[1]}: give it what region_map or taps_and_dense returns"
            )
        return pool_by_attention(pool, dense, rois, self.stride, bins)
