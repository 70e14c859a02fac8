"""Images of one size together: how a padded batch is taken apart at test time."""

from collections.abc import Sequence

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
