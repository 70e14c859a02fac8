"""Which labelled images a few-shot run may see: draws of n per class, and a split for choosing."""

from __future__ import annotations

import torch
from torch import Tensor


def images_of_classes(labels: Tensor, num_classes: int) -> list[Tensor]:
    """Indices of the images of each class, ascending.

    Args:
        labels: int64 (N,), or uint8 (N, C) where an image has several classes.
        num_classes: C.
    """
    labels = labels.cpu()
    if labels.ndim == 2:
        return [labels[:, number].nonzero().flatten() for number in range(num_classes)]
    return [(labels == number).nonzero().flatten() for number in range(num_classes)]


def draw_shots(
    labels: Tensor, num_classes: int, shots: int | None, seed: int, partial: bool = False
) -> Tensor:
    """Indices of ``shots`` images of each class, drawn without replacement.

    A class with fewer images gives all it has. An image of several classes is drawn once.

    Args:
        labels: As for :func:`images_of_classes`.
        num_classes: C.
        shots: Images per class; None for all images.
        seed: Of the draw.
        partial: Accept classes without any image.

    Returns:
        int64, ascending.

    Raises:
        ValueError: If a class has no image at all, or ``shots`` is not positive.
    """
    if shots is None:
        return torch.arange(len(labels))
    if shots < 1:
        raise ValueError(f"{shots} shots per class: at least one is needed")
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for number, own in enumerate(images_of_classes(labels, num_classes)):
        if not len(own) and not partial:
            raise ValueError(f"class {number} has no image to draw from")
        kept.append(own[torch.randperm(len(own), generator=generator)[:shots]])
    return torch.cat(kept).unique()


def hold_out(
    labels: Tensor, num_classes: int, share: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Splits images into those to train on and those to choose settings on, class by class.

    Every class keeps at least one image on each side; a class of one image has it on both.

    Args:
        labels: As for :func:`images_of_classes`.
        num_classes: C.
        share: Part of each class that is held out, in (0, 1).
        seed: Of the split.

    Returns:
        Training and held-out indices, int64, ascending. Images of several classes that were held
        out for one are held out for all.

    Raises:
        ValueError: If ``share`` is not in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} cannot be held out")
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    single = torch.zeros(len(labels), dtype=torch.bool)
    for own in images_of_classes(labels, num_classes):
        order = own[torch.randperm(len(own), generator=generator)]
        if len(own) == 1:
            single[own] = True
            continue
        held[order[: min(max(1, round(share * len(own))), len(own) - 1)]] = True
    return (~held | single).nonzero().flatten(), (held | single).nonzero().flatten()
