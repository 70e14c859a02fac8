"""Cost volume between dense and class embeddings, refined over space and over classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from react_mm.models.decode_heads.base import OpenVocabularyDecodeHead, Similarity, zeroed
from react_mm.registry import MODELS


@MODELS.register_module()
class CostAggregationHead(OpenVocabularyDecodeHead):
    """Refines the map of cosines instead of the embeddings (the idea of CAT-Seg, 2303.11797).

    The cosine of every cell with every class is a cost volume (B, C, h, w). Each class's slice is
    embedded by itself, then layers alternate between space (a large convolution within a slice,
    guided by the dense embedding) and classes (attention among the slices in one cell). No weight
    belongs to a class, so any number of classes in any order runs. Last the grid is doubled and the
    result, zero before training, is added to the cosines.

    Beside CAT-Seg this is small: convolutions in place of Swin blocks, linear attention
    (2006.16236) without text guidance, one prompt per class, the tower frozen.

    Args:
        embed_dim: See :class:`OpenVocabularyDecodeHead`, as ``tap_channels``, ``temperature`` and
            ``loss_decode``.
        channels: Channels of a slice's embedding.
        guidance: Channels of the guide.
        depth: Pairs of spatial and class layers.
        kernel: Side of the spatial convolutions, odd.
        heads: Heads of the attention among classes.
        upsample: Factor by which the grid is made finer before the last layer.
        with_cp: Whether activations are recomputed in the backward pass to save memory.

    Raises:
        ValueError: If ``kernel`` is even, or ``heads`` does not divide ``channels``.
    """

    def __init__(
        self,
        embed_dim: int,
        channels: int = 64,
        guidance: int = 32,
        depth: int = 2,
        kernel: int = 7,
        heads: int = 4,
        upsample: int = 2,
        with_cp: bool = False,
        tap_channels: int | None = None,
        temperature: float = 0.05,
        loss_decode: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__(embed_dim, tap_channels, temperature, loss_decode)
        if kernel % 2 == 0 or channels % heads:
            raise ValueError(
                f"kernel must be odd and heads divide channels, got kernel {kernel}, heads {heads} "
                f"and channels {channels}"
            )
        self.with_cp, self.upsample = with_cp, upsample
        self.embed = nn.Conv2d(1, channels, kernel, padding=kernel // 2)
        self.guidance = nn.Conv2d(self.guide_channels, guidance, 1)
        self.layers = nn.ModuleList(_Layer(channels, guidance, kernel, heads) for _ in range(depth))
        self.fine = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = zeroed(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, dense: Tensor, taps: Sequence[Tensor], similarity: Similarity) -> Tensor:
        """Logits float (B, C, upsample * h, upsample * w)."""
        cost = similarity(dense.movedim(1, -1)).movedim(-1, 1)
        batch, classes, height, width = cost.shape
        guide = self.guidance(self.guide(dense, taps))
        x = self.embed(cost.reshape(-1, 1, height, width)).unflatten(0, (batch, classes))
        for layer in self.layers:
            if self.with_cp and x.requires_grad:
                x = checkpoint(layer, x, guide, use_reentrant=False)
            else:
                x = layer(x, guide)
        size = (height * self.upsample, width * self.upsample)
        x = F.interpolate(x.flatten(0, 1), size, mode="bilinear", align_corners=False)
        change = self.out(F.gelu(self.fine(x))).view(batch, classes, *size)
        cost = F.interpolate(cost, size, mode="bilinear", align_corners=False)
        return (cost + change) / self.temperature


class _Layer(nn.Module):
    """One step over space, one over classes."""

    def __init__(self, channels: int, guidance: int, kernel: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.join = nn.Conv2d(channels + guidance, channels, 1)
        self.near = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        self.class_norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Float (B, C, channels, h, w) to the same."""
        batch, classes = x.shape[:2]
        slices = x.flatten(0, 1)
        guides = guide[:, None].expand(-1, classes, -1, -1, -1).flatten(0, 1)
        joined = self.join(torch.cat([self.norm(slices), guides], dim=1))
        slices = slices + self.narrow(F.gelu(self.widen(self.near(joined))))
        x = slices.unflatten(0, (batch, classes))
        cells = x.permute(0, 3, 4, 1, 2)  # (B, h, w, C, channels)
        return x + self.among_classes(self.class_norm(cells)).permute(0, 3, 4, 1, 2)

    def among_classes(self, cells: Tensor) -> Tensor:
        """Linear attention among the classes of a cell, float (B, h, w, C, channels).

        Cost and memory grow with C, not with its square.
        """
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)) for part in self.qkv(cells).chunk(3, dim=-1)
        )
        q, k = F.elu(q) + 1, F.elu(k) + 1
        memory = torch.einsum("bhwcnd,bhwcne->bhwnde", k, v)
        total = (q * k.sum(dim=3, keepdim=True)).sum(dim=-1, keepdim=True)
        found = torch.einsum("bhwcnd,bhwnde->bhwcne", q, memory) / total
        return self.proj(found.flatten(-2))
