"""Embeddings of boxes, pooled from a dense embedding."""

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align


def region_embeddings(
    dense: Tensor, rois: Tensor, stride: int, size: int = 7, normalise_cells: bool = True
) -> Tensor:
    """RoIAlign of a dense embedding, averaged over each region.

    As RegionCLIP's ViT branch and F-ViT do it, cells are L2-normalised before they are pooled, so
    that no cell outweighs the others by its norm.

    Args:
        dense: Dense embedding, float (B, D, h, w).
        rois: Regions float (N, 5): image index, x1, y1, x2, y2 in input pixels.
        stride: Input pixels per cell.
        size: Bins per side.
        normalise_cells: Whether cells are L2-normalised first.

    Returns:
        Float (N, D), not normalised.
    """
    if normalise_cells:
        dense = F.normalize(dense, dim=1)
    pooled = roi_align(dense, rois.to(dense.dtype), size, 1.0 / stride, 0, aligned=True)
    return pooled.mean(dim=(2, 3))
