"""Attention within windows, for large inputs of a plain vision transformer.

ViTDet (arXiv 2203.16527, section 3, "Backbone adaptation"): most blocks attend within windows that
do not overlap, a few blocks attend globally and carry information across. The frozen weights of a
block are used as they are; its gated block attends in the same windows.

The class token, which ViTDet drops, is kept here, for the pooled embedding and for what it tells
the patches: every patch sees the class token and its own window, the class token sees all patches.
With one window that is full attention, with a mask of padding that is small: (B, N) where
``nn.MultiheadAttention`` wants (B * heads, N, N), at 1,024 pixels 0.8 GB an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.layers.gated_attention import run_gate


@dataclass(frozen=True)
class Windows:
    """A grid of patches cut into windows from its top left corner.

    Windows at the right and at the bottom are padded to full size, and padding is no key.

    Attributes:
        grid: Patch rows and columns (h, w).
        size: Patches per side; a side shorter than that is one window.
        valid: Which cells are no padding of the batch, bool (B, h * w), or None for all.
    """

    grid: tuple[int, int]
    size: int
    valid: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of one window."""
        return min(self.size, self.grid[0]), min(self.size, self.grid[1])

    @property
    def counts(self) -> tuple[int, int]:
        """Windows down and across."""
        return tuple(-(-g // s) for g, s in zip(self.grid, self.shape, strict=True))

    def split(self, cells: Tensor) -> Tensor:
        """Cells float (B, H, h * w, d) as windows (B * windows, H, cells of one, d)."""
        (h, w), (rows, columns), (down, across) = self.grid, self.shape, self.counts
        cells = cells.unflatten(2, (h, w))
        bottom, right = down * rows - h, across * columns - w
        if bottom or right:
            cells = F.pad(cells, (0, 0, 0, right, 0, bottom))
        cells = cells.unflatten(3, (across, columns)).unflatten(2, (down, rows))
        return cells.permute(0, 2, 4, 1, 3, 5, 6).flatten(4, 5).flatten(0, 2)

    def join(self, windows: Tensor) -> Tensor:
        """Inverse of :meth:`split`."""
        (h, w), (rows, columns), (down, across) = self.grid, self.shape, self.counts
        cells = windows.unflatten(2, (rows, columns)).unflatten(0, (-1, down, across))
        cells = cells.permute(0, 3, 1, 4, 2, 5, 6).flatten(4, 5).flatten(2, 3)
        return cells[:, :, :h, :w].flatten(2, 3)

    def spread(self, token: Tensor) -> Tensor:
        """A token of each image float (B, H, 1, d) for each of its windows."""
        return token.repeat_interleave(self.counts[0] * self.counts[1], dim=0)

    @cached_property
    def keys(self) -> Tensor | None:
        """Which keys the class token sees, bool (B, 1, 1, 1 + h * w), or None for all."""
        return None if self.valid is None else F.pad(self.valid, (1, 0), value=True)[:, None, None]

    @cached_property
    def own_keys(self) -> Tensor | None:
        """Which keys the cells of a window see: bool (B * windows, 1, 1, 1 + cells), or None."""
        exact = all(g % s == 0 for g, s in zip(self.grid, self.shape, strict=True))
        if exact and self.valid is None:
            return None
        valid = torch.ones(1, self.grid[0] * self.grid[1]) if self.valid is None else self.valid
        inside = self.split(valid.float()[:, None, :, None])[:, 0, :, 0] > 0
        return F.pad(inside, (1, 0), value=True)[:, None, None]

    def mask(self, like: Tensor) -> Tensor | None:
        """:attr:`own_keys` on the device of ``like``, for all of its images."""
        keys = self.own_keys
        if keys is None or len(keys) == len(like):
            return keys
        return keys.to(like.device).repeat(len(like) // len(keys), 1, 1, 1)

    def attend(self, attn: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
        """:func:`window_attention` of tokens (B, 1 + h * w, C) in these windows."""
        return window_attention(attn, tokens, self)


def window_attention(attn: nn.MultiheadAttention, x: Tensor, windows: Windows) -> Tensor:
    """Self-attention within windows, on a frozen attention's weights.

    Args:
        attn: The block's attention, ``batch_first``.
        x: Normalised tokens (B, 1 + h * w, C), class token first.
        windows: How the grid is cut.

    Returns:
        Tokens (B, 1 + h * w, C) after the output projection.
    """
    packed = F.linear(x, attn.in_proj_weight, attn.in_proj_bias)
    q, k, v = (
        part.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for part in packed.chunk(3, dim=-1)
    )
    pooling = F.scaled_dot_product_attention(q[:, :, :1], k, v, attn_mask=windows.keys)
    own_q = windows.split(q[:, :, 1:])
    own_k, own_v = (
        torch.cat([windows.spread(t[:, :, :1]), windows.split(t[:, :, 1:])], dim=2) for t in (k, v)
    )
    cells = F.scaled_dot_product_attention(own_q, own_k, own_v, attn_mask=windows.mask(own_q))
    mixed = torch.cat([pooling, windows.join(cells)], dim=2)
    return attn.out_proj(mixed.transpose(1, 2).flatten(2))


def run_windowed_block(block: nn.Module, x: Tensor, windows: Windows) -> Tensor:
    """Runs a block, and the gated block in front of it, within windows.

    Args:
        block: open_clip's ``ResidualAttentionBlock``.
        x: Tokens (B, 1 + h * w, C) that enter the block.
        windows: How the grid is cut.

    Returns:
        Tokens (B, 1 + h * w, C).
    """
    x = run_gate(block, x, attention=windows.attend)
    x = x + block.ls_1(windows.attend(block.attn, block.ln_1(x)))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def resolve_global_blocks(
    window_size: int | None, global_blocks: Sequence[int] | None, blocks: int
) -> tuple[int, ...]:
    """Indices of the blocks that attend globally.

    Args:
        window_size: Patches per side of a window; None: no windows, all blocks are global.
        global_blocks: Indices, negative ones from the end; None: four, evenly spaced, the last
            block among them (2, 5, 8, 11 of 12).
        blocks: Blocks of the tower.

    Raises:
        ValueError: If there are global blocks without windows, an index or the size does not
            exist, or the last block is not global.
    """
    if window_size is None:
        if global_blocks is not None:
            raise ValueError("global_blocks is given without window_size: all blocks are global")
        return tuple(range(blocks))
    if window_size < 1:
        raise ValueError(f"window_size counts patches and is at least 1, got {window_size}")
    if global_blocks is None:
        return tuple(sorted({-(-i * blocks // 4) - 1 for i in range(1, 5)}))
    resolved = tuple(sorted({i + blocks if i < 0 else i for i in global_blocks}))
    if any(not 0 <= i < blocks for i in resolved):
        raise ValueError(f"global_blocks {list(global_blocks)}: the tower has {blocks} blocks")
    if blocks - 1 not in resolved:
        raise ValueError(
            f"global_blocks {list(global_blocks)} lacks the last block ({blocks - 1}), on whose "
            "attention to the whole image the dense modes are defined: add it"
        )
    return resolved
