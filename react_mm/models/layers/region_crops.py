"""Regions cut out of the image and resized to what a tower was trained on."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}
THREADS = 8


def crop_corners(
    boxes: Tensor, size: tuple[int, int], scale: float = 1.0
) -> list[tuple[int, int, int, int]]:
    """Whole pixels of enlarged boxes.

    A box is enlarged about its centre, cut at the image's border and rounded outwards; at least one
    pixel is left.

    Args:
        boxes: Float (N, 4), x1 y1 x2 y2 in pixels.
        size: (h, w) of the image.
        scale: Factor of both sides.

    Returns:
        N times (left, top, right, bottom), right and bottom exclusive.
    """
    boxes = boxes.double().cpu()
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    limit = torch.tensor([size[1], size[0]])
    low = (centre - half).floor().clamp(min=0).minimum(limit - 1.0).long()
    high = (centre + half).ceil().long().minimum(limit).maximum(low + 1)
    return [tuple(row) for row in torch.cat([low, high], dim=1).tolist()]


def region_crops(
    image: np.ndarray,
    boxes: Tensor,
    size: tuple[int, int],
    interpolation: str = "bicubic",
    scale: float = 1.0,
) -> Tensor:
    """Crops of boxes, resized as CLIP's own preprocessing resizes images: by PIL.

    The aspect is not kept: all of the region is seen.

    Args:
        image: RGB, uint8 (H, W, 3).
        boxes: Float (N, 4), x1 y1 x2 y2 in pixels.
        size: (h, w) of the crops.
        interpolation: ``bicubic``, ``bilinear`` or ``nearest``.
        scale: See :func:`crop_corners`.

    Returns:
        uint8 (N, 3, h, w), on the CPU.
    """
    corners = crop_corners(boxes, image.shape[:2], scale)
    if not corners:
        return torch.zeros(0, 3, *size, dtype=torch.uint8)
    picture, way = Image.fromarray(image), _INTERPOLATIONS[interpolation]

    def cut(corner: Sequence[int]) -> np.ndarray:
        return np.asarray(picture.crop(corner).resize((size[1], size[0]), way))

    with ThreadPoolExecutor(THREADS) as pool:  # PIL resizes without the interpreter's lock
        crops = np.stack(list(pool.map(cut, corners)))
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def normalised(crops: Tensor, preprocess: Mapping[str, Any], like: Tensor) -> Tensor:
    """uint8 crops (N, 3, h, w) as a tower takes them: float, on the device of ``like``.

    Args:
        crops: See :func:`region_crops`.
        preprocess: ``mean`` and ``std`` of values in 0..1.
        like: Gives dtype and device.
    """
    mean, std = (like.new_tensor(preprocess[name])[:, None, None] for name in ("mean", "std"))
    return (crops.to(like) / 255 - mean) / std
