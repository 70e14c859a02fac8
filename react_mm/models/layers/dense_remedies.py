"""What helps where large towers blur: an earlier block, and outlier tokens smoothed away.

In large transformers a few patch tokens grow very long and carry what the whole image is about
(arXiv 2309.16588); methods that mix the last block's tokens spread them (SC-CLIP, 2411.15869,
replaces them by their neighbours).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from react_mm.models.layers.dense_attention import LOCAL, run_last_block


def outliers(tokens: Tensor, ratio: float) -> Tensor:
    """Which patch tokens are longer than ``ratio`` medians of their image.

    Args:
        tokens: Patch tokens float (B, N, C), no class token.
        ratio: Above 1.

    Returns:
        Bool (B, N).
    """
    norms = tokens.norm(dim=-1)
    return norms > ratio * norms.median(dim=1, keepdim=True).values


def smooth_outliers(tokens: Tensor, grid: tuple[int, int], ratio: float) -> Tensor:
    """Replaces outlier tokens by the mean of those of their 8 neighbours that are none.

    Args:
        tokens: Patch tokens float (B, h * w, C).
        grid: (h, w).
        ratio: See :func:`outliers`.

    Returns:
        Float (B, h * w, C). An outlier among outliers alone takes the mean of all tokens of its
        image that are none.
    """
    found = outliers(tokens, ratio)
    kept = (~found).unflatten(1, grid)[:, None].to(tokens.dtype)
    maps = tokens.transpose(1, 2).unflatten(2, grid) * kept
    window = dict(kernel_size=3, stride=1, padding=1, divisor_override=1)
    count = F.avg_pool2d(kept, **window)
    near = F.avg_pool2d(maps, **window) / count.clamp_min(1)
    whole = maps.sum(dim=(2, 3), keepdim=True) / kept.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    near = torch.where(count > 0, near, whole).flatten(2).transpose(1, 2)
    return torch.where(found[..., None], near, tokens)


def dense_at(
    tower: Any, images: Tensor, layer: int = -1, outlier_ratio: float | None = None
) -> Tensor:
    """Dense embedding with the dense mode's form in the place of any block.

    Args:
        tower: :class:`react_mm.CLIPViT`; its ``dense_mode`` says which form.
        images: Normalised, of one size, float (B, 3, H, W).
        layer: The block; those behind it are left out.
        outlier_ratio: See :func:`smooth_outliers`; None: tokens stay as they are.

    Returns:
        Float (B, D, ceil(H / p), ceil(W / p)), not normalised.
    """
    x, grid = tower.before_block(images, layer)
    if outlier_ratio is not None:
        x = torch.cat([x[:, :1], smooth_outliers(x[:, 1:], grid, outlier_ratio)], dim=1)
    x = run_last_block(tower.insertion_points()[layer], x, tower.dense_mode, grid)[:, 1:]
    x = tower.visual.ln_post(x) @ tower.visual.proj
    return x.transpose(1, 2).unflatten(2, grid)


def check_remedies(tower: Any, layer: int, outlier_ratio: float | None) -> None:
    """Checks that :func:`dense_at` can run.

    Raises:
        ValueError: If the tower is no ``CLIPViT`` in a mode of the table, the block does not exist,
            or the ratio is not above 1.
    """
    if not hasattr(tower, "before_block") or tower.dense_mode == LOCAL:
        mode = getattr(tower, "dense_mode", None)
        raise ValueError(
            "layer and outlier_ratio replace a block of a CLIPViT whose dense_mode is in "
            f"DENSE_MODES, not of {type(tower).__name__} with dense_mode={mode!r}"
        )
    blocks = len(tower.insertion_points())
    if not -blocks <= layer < blocks:
        raise ValueError(f"layer {layer} does not exist; the tower has {blocks} blocks")
    if outlier_ratio is not None and outlier_ratio <= 1:
        raise ValueError(f"outlier_ratio counts medians and must exceed 1, got {outlier_ratio}")
