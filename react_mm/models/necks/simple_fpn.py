"""A feature pyramid from the single-scale maps of a plain vision transformer."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.registry import MODELS


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map (B, C, h, w): no statistics over space or batch."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each cell; shape unchanged."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _resample(channels: int, scale: float) -> nn.Sequential:
    """Layers that change the resolution of a map by a power of two between 1/2 and 4."""
    if scale == 4:
        half = channels // 2
        return nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            ChannelNorm(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, half, 2, stride=2),
        )
    if scale == 2:
        return nn.Sequential(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
    if scale == 1:
        return nn.Sequential()
    if scale == 0.5:
        return nn.Sequential(nn.MaxPool2d(2, stride=2, ceil_mode=True))
    raise ValueError(f"SimpleFPN: scale {scale} is not one of 4, 2, 1, 0.5")


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """Simple feature pyramid of ViTDet (arXiv 2203.16527).

    Given one map, every level is made from it; given as many maps as levels, level i is made from
    map i (as F-ViT does with taps at several depths).

    Cell (r, c) of level i covers the pixels from (r, c) * stride / scale on. Those strides, which
    :meth:`level_strides` tells, are what ``anchor_generator.strides`` and ``featmap_strides`` of
    the heads must say: 4, 8, 16, 32, 64 for ViT-B/16, 8 to 128 for B/32, 3.5, 7, 14, 28, 56 for
    L/14 (mmdet takes fractions). A map of odd size gives a half-size level rounded up.

    Args:
        in_channels: Channels of the maps.
        out_channels: Channels of every level.
        scales: Resolution of each level relative to the maps: 4, 2, 1 or 0.5.
        num_outs: Levels returned; those beyond ``scales`` are max pooled from the last.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        scales: Sequence[float] = (4, 2, 1, 0.5),
        num_outs: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        num_outs = len(scales) if num_outs is None else num_outs
        if num_outs < len(scales):
            raise ValueError(f"SimpleFPN: num_outs {num_outs} is less than {len(scales)} scales")
        self.scales = tuple(scales)
        self.stages = nn.ModuleList()
        for scale in scales:
            middle = in_channels // 2 if scale > 1 else in_channels
            self.stages.append(
                nn.Sequential(
                    _resample(in_channels, scale),
                    nn.Conv2d(middle, out_channels, 1, bias=False),
                    ChannelNorm(out_channels),
                    nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                    ChannelNorm(out_channels),
                )
            )
        self.extra = num_outs - len(scales)

    def level_strides(self, stride: int) -> tuple[float, ...]:
        """Input pixels per cell of each level, for maps of one stride."""
        strides = [stride / scale for scale in self.scales]
        return (*strides, *(strides[-1] * 2 ** (i + 1) for i in range(self.extra)))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Builds the pyramid.

        Args:
            maps: One map float (B, C, h, w), or one per scale.

        Returns:
            ``num_outs`` maps float (B, out_channels, scale * h, scale * w), finest first.

        Raises:
            ValueError: If the number of maps is neither 1 nor the number of scales.
        """
        if len(maps) == 1:
            maps = [maps[0]] * len(self.stages)
        if len(maps) != len(self.stages):
            raise ValueError(f"SimpleFPN: {len(maps)} maps for {len(self.stages)} scales")
        levels = [stage(x) for stage, x in zip(self.stages, maps, strict=True)]
        for _ in range(self.extra):
            levels.append(nn.functional.max_pool2d(levels[-1], 1, stride=2))
        return tuple(levels)
