"""Rules on the class probabilities of one image's pixels."""

import torch
from torch import Tensor


def with_background(scores: Tensor, row: int | None, threshold: float | None) -> Tensor:
    """Gives the background at least its threshold as probability everywhere.

    Args:
        scores: Probabilities float (C, h, w).
        row: Place of the background among the classes.
        threshold: Its probability; None changes nothing.
    """
    if threshold is None:
        return scores
    scores = scores.clone()
    scores[row] = scores[row].clamp_min(threshold)
    return scores


def drop_classes(
    scores: Tensor, background: int | None, min_area: float = 0.0, min_peak: float = 0.0
) -> Tensor:
    """Takes all probability from classes that hardly occur in an image.

    Args:
        scores: Probabilities float (C, h, w).
        background: Place of the background, which always stays; None if there is none.
        min_area: Classes go that win at most this share of the pixels that are no background
            (SCLIP, facts D2).
        min_peak: Classes go that reach this probability nowhere (MaskCLIP's prompt denoising).

    Returns:
        Float (C, h, w), zero for the classes that went. The class of the highest probability
        stays, whatever its area.
    """
    count = len(scores)
    won = torch.bincount(scores.argmax(dim=0).flatten(), minlength=count).to(scores)
    peak = scores.flatten(1).amax(dim=1)
    if background is not None:
        won[background] = 0
    kept = peak >= min_peak
    if min_area > 0:
        kept &= won > min_area * won.sum()
    if background is not None:
        peak[background] = -1
        kept[background] = True
    if background is None or not kept.any():
        kept[peak.argmax()] = True
    return scores * kept[:, None, None]
