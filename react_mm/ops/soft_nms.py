"""Soft non-maximum suppression (Bodla et al., arXiv 1704.04503) in mmcv's calling convention."""

import numpy as np
import torch
from torch import Tensor

NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Suppression that lowers the scores of overlapping boxes instead of dropping them.

    The best box left is taken, then every box left is weighted by its IoU ``o`` with it: 0 where
    ``o >= iou_threshold`` (naive), ``1 - o`` there (linear), or ``exp(-o^2 / sigma)`` everywhere
    (gaussian); boxes whose score falls below ``min_score`` leave. Of equal scores the box given
    first is taken first.

    Args:
        boxes: Boxes (N, 4), float, x1 y1 x2 y2 in pixels; on the CPU, where mmcv calls this.
        scores: Scores (N,), float.
        dets: Receives, in its first K rows, the kept boxes and their lowered scores (N, 5).
        iou_threshold: Overlap from which on the naive and the linear method act.
        sigma: Width of the gaussian.
        min_score: Boxes whose lowered score is below are dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1; width is ``x2 - x1 + offset``.

    Returns:
        Indices of the kept boxes (K,), int64, in the order in which they were taken.

    Raises:
        ValueError: ``method`` or ``offset`` is not one of the above.
    """
    if method not in (NAIVE, LINEAR, GAUSSIAN):
        raise ValueError(f"softnms: method must be 0, 1 or 2, got {method}")
    if offset not in (0, 1):
        raise ValueError(f"softnms: offset must be 0 or 1, got {offset}")
    corners = boxes.detach().cpu().numpy()
    left = scores.detach().cpu().numpy().copy()
    areas = _extent(corners[:, 0], corners[:, 2], offset) * _extent(
        corners[:, 1], corners[:, 3], offset
    )
    candidates = np.arange(len(left))
    taken: list[int] = []
    while candidates.size:
        place = int(left[candidates].argmax())
        best = int(candidates[place])
        taken.append(best)
        candidates = np.delete(candidates, place)
        overlaps = _overlaps(corners, areas, best, candidates, offset)
        left[candidates] *= _weights(overlaps, iou_threshold, sigma, method)
        candidates = candidates[left[candidates] >= min_score]
    indices = torch.tensor(taken, dtype=torch.int64)
    dets[: len(taken), :4] = boxes[indices.to(boxes.device)].to(dets)
    dets[: len(taken), 4] = torch.from_numpy(left[taken]).to(dets)
    return indices


def _extent(low: np.ndarray, high: np.ndarray, offset: int) -> np.ndarray:
    """Widths or heights, with mmcv's pixel-inclusive offset."""
    return high - low + offset


def _overlaps(
    corners: np.ndarray, areas: np.ndarray, best: int, others: np.ndarray, offset: int
) -> np.ndarray:
    """IoU of one box with others; 0 where both have no area."""
    low = np.maximum(corners[best, :2], corners[others, :2])
    high = np.minimum(corners[best, 2:], corners[others, 2:])
    common = np.maximum(_extent(low, high, offset), 0).prod(axis=1)
    union = areas[best] + areas[others] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _weights(overlaps: np.ndarray, threshold: float, sigma: float, method: int) -> np.ndarray:
    """What the scores are multiplied with, in the precision of the overlaps."""
    if method == GAUSSIAN:
        return np.exp(-(overlaps**2) / overlaps.dtype.type(sigma))
    lowered = np.zeros_like(overlaps) if method == NAIVE else 1 - overlaps
    return np.where(overlaps >= overlaps.dtype.type(threshold), lowered, 1)
