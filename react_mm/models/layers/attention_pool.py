"""CLIP ResNet's own attention pooling on maps and regions of any size.

One query, the mean of the cells, attends to itself and to all cells (CLIP, arXiv 2103.00020,
section 2.4). The frozen weights are open_clip's ``AttentionPool2d``, whose forward takes one size
alone and computes a query per cell of which it uses the first.
"""

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor
from torchvision.ops import roi_align

REGIONS_AT_ONCE = 128
"""Regions pooled together: with 2048 channels and 7 x 7 bins 50 MB each of cells, keys, values."""


def pool_positions(pool: AttentionPool2d, grid: tuple[int, int]) -> Tensor:
    """Positions float (1 + h * w, C) of a grid (h, w), interpolated where it is not the native one.

    The first is that of the mean.
    """
    embedding = pool.positional_embedding
    side = round((len(embedding) - 1) ** 0.5)
    if grid == (side, side):
        return embedding
    cells = embedding[1:].T.reshape(1, -1, side, side).float()
    cells = F.interpolate(cells, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([embedding[:1], cells[0].flatten(1).T.to(embedding.dtype)])


def attention_pool(pool: AttentionPool2d, maps: Tensor) -> Tensor:
    """Pools maps float (N, C, h, w) to embeddings float (N, D), not normalised."""
    x = maps.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
    x = x + pool_positions(pool, tuple(maps.shape[-2:])).to(x.dtype)
    q, k, v = (
        part.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for part in (pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x))
    )
    mixed = F.scaled_dot_product_attention(q, k, v)
    return pool.c_proj(mixed.transpose(1, 2).flatten(1))


def cell_embeddings(pool: AttentionPool2d, maps: Tensor) -> Tensor:
    """Embedding of each cell: value and output projection without attention or positions.

    MaskCLIP (arXiv 2112.01071, section 3.2) for ResNets.

    Args:
        pool: The tower's pooling.
        maps: Float (N, C, h, w).

    Returns:
        Float (N, D, h, w), not normalised.
    """
    return pool.c_proj(pool.v_proj(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2).contiguous()


def pool_by_attention(
    pool: AttentionPool2d, maps: Tensor, rois: Tensor, stride: int, bins: int
) -> Tensor:
    """RoIAlign, then the attention pooling on each region (F-VLM, arXiv 2209.15639, section 3.2).

    Args:
        pool: The tower's pooling.
        maps: Last stage of the ResNet, float (B, C, h, w).
        rois: Regions float (N, 5): image index, x1, y1, x2, y2 in input pixels.
        stride: Input pixels per cell.
        bins: Bins per side; positions are interpolated where they are not the pooling's own.

    Returns:
        Float (N, D), not normalised.
    """
    if not len(rois):
        return maps.new_zeros(0, pool.c_proj.out_features)
    embeddings = [
        attention_pool(pool, roi_align(maps, some, bins, 1.0 / stride, 0, aligned=True))
        for some in rois.to(maps.dtype).split(REGIONS_AT_ONCE)
    ]
    return torch.cat(embeddings)
