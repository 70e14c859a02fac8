"""Images of one size together: how a padded batch is taken apart, and put together again."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def image_sizes(data_samples: Sequence) -> list[tuple[int, int]]:
    """Valid (h, w) of each image, from the meta data that mm pipelines write (``img_shape``)."""
    return [tuple(int(v) for v in sample.metainfo["img_shape"][:2]) for sample in data_samples]


def group_by_size(
    inputs: Tensor, sizes: Sequence[tuple[int, int]]
) -> list[tuple[list[int], Tensor]]:
    """Splits a padded batch into batches without padding.

    Convolutions, pooling and windows see padding; images of one size together see none. So a
    padded batch gives what its images give alone.

    Args:
        inputs: Float (B, 3, H, W), padded on the right and at the bottom.
        sizes: Valid (h, w) of each image.

    Returns:
        For each size, in order of first appearance: the indices of its images, and their pixels
        float (n, 3, h, w).
    """
    members: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        members.setdefault(size, []).append(index)
    return [(rows, inputs[rows, :, : size[0], : size[1]]) for size, rows in members.items()]


def fit_to(x: Tensor, sizes: Sequence[tuple[int, int]], target: tuple[int, int]) -> Tensor:
    """Crops or zero pads images to ``target`` and zeroes what is outside each image's own size.

    Args:
        x: Float (B, 3, H, W).
        sizes: Own (h, w) of each image.
        target: Height and width.

    Raises:
        ValueError: If an image is said to be larger than the batch.
    """
    height, width = x.shape[-2:]
    if any(int(h) > height or int(w) > width for h, w in sizes):
        raise ValueError(f"an image size of {list(sizes)} exceeds the batch's ({height}, {width})")
    x = x[..., : target[0], : target[1]]
    x = F.pad(x, (0, target[1] - x.shape[-1], 0, target[0] - x.shape[-2]))
    if all((int(h), int(w)) == (height, width) for h, w in sizes):
        return x
    rows = torch.arange(target[0], device=x.device)
    columns = torch.arange(target[1], device=x.device)
    own = torch.tensor([[int(h), int(w)] for h, w in sizes], device=x.device)
    inside = (rows < own[:, :1])[:, None, :, None] & (columns < own[:, 1:])[:, None, None, :]
    return x * inside.to(x.dtype)


def run_by_size(
    run: Callable[[Tensor], Sequence[Tensor]],
    x: Tensor,
    sizes: Sequence[tuple[int, int]] | None,
    multiple: int,
) -> list[Tensor]:
    """Runs what would see padding on a padded batch, images of one size together.

    Each image is zero padded to the next multiple alone, so that the batch it comes in changes
    nothing.

    Args:
        run: From images float (n, 3, h, w) of multiples to maps (n, C, h / s, w / s) of any strides
            s, or vectors (n, C).
        x: Float (B, 3, H, W), padded on the right and at the bottom.
        sizes: Own (h, w) of each image; None: all of (H, W).
        multiple: Pixels.

    Returns:
        What ``run`` gives, for the whole batch: maps are as large as the largest image's, and zero
        beyond an image's own.

    Raises:
        ValueError: If the number of sizes is not that of the images.
    """
    sizes = [tuple(x.shape[-2:])] * len(x) if sizes is None else sizes
    if len(sizes) != len(x):
        raise ValueError(f"{len(sizes)} image sizes for a batch of {len(x)}")
    whole = [tuple(-(-int(side) // multiple) * multiple for side in size) for size in sizes]
    members: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(whole):
        members.setdefault(size, []).append(index)
    parts = {
        size: run(fit_to(x[rows], [sizes[i] for i in rows], size)) for size, rows in members.items()
    }
    if len(parts) == 1:
        return list(*parts.values())
    target = tuple(max(size[axis] for size in whole) for axis in (0, 1))
    placed = []
    for which, first in enumerate(next(iter(parts.values()))):
        shape = list(first.shape)
        if first.ndim == 4:
            stride = next(iter(parts))[0] // shape[2]
            shape[2:] = target[0] // stride, target[1] // stride
        out = first.new_zeros(len(x), *shape[1:])
        for size, rows in members.items():
            part = parts[size][which]
            out[(rows, slice(None), *(slice(n) for n in part.shape[2:]))] = part
        placed.append(out)
    return placed
