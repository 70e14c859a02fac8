"""Boxes of region self-distillation: cells of a random grid, drawn for each image and epoch."""

import hashlib

import torch
from torch import Tensor


def sample_seed(*parts: object) -> int:
    """A seed of 63 bits that depends on its parts alone, on every machine."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def grid_boxes(
    size: tuple[int, int], seed: int, max_grid: int = 6, aspect: float = 2.0, most: int = 20
) -> Tensor:
    """Cells of a random m x n grid (CLIPSelf, arXiv 2310.01403: m, n up to 6).

    The grid is drawn among those whose cells are not longer than ``aspect`` times their other
    side; a random part of the cells is kept where there are more than ``most``.

    Args:
        size: Height and width of the image in pixels.
        seed: Decides everything.
        max_grid: Largest number of rows and of columns.
        aspect: Largest ratio of a cell's sides.
        most: Largest number of boxes.

    Returns:
        float (N, 4): x1, y1, x2, y2 in whole pixels; at least one box.

    Raises:
        ValueError: If no grid has cells of that shape.
    """
    height, width = size
    grids = [
        (rows, columns)
        for rows in range(1, max_grid + 1)
        for columns in range(1, max_grid + 1)
        if rows <= height
        and columns <= width
        and 1 / aspect <= (width / columns) / (height / rows) <= aspect
    ]
    if not grids:
        raise ValueError(
            f"region distillation: an image of {height} x {width} pixels has no grid of up to "
            f"{max_grid} x {max_grid} cells with sides of at most 1:{aspect:g}"
        )
    generator = torch.Generator().manual_seed(seed)
    rows, columns = grids[int(torch.randint(len(grids), (1,), generator=generator))]
    y = torch.linspace(0, height, rows + 1).round()
    x = torch.linspace(0, width, columns + 1).round()
    top, left = torch.meshgrid(y[:-1], x[:-1], indexing="ij")
    bottom, right = torch.meshgrid(y[1:], x[1:], indexing="ij")
    boxes = torch.stack([left, top, right, bottom], dim=-1).flatten(0, 1)
    if len(boxes) > most:
        boxes = boxes[torch.randperm(len(boxes), generator=generator)[:most].sort().values]
    return boxes


def given_boxes(relative: Tensor, size: tuple[int, int], smallest: float, most: int) -> Tensor:
    """Boxes of the batch in whole pixels of the dense input.

    Args:
        relative: float (M, 4): x1, y1, x2, y2 as fractions of the width and the height of the
            dense input; rows with NaN are filling.
        size: Height and width of the dense input in pixels.
        smallest: Boxes with a shorter side, in pixels, are left out.
        most: The first so many are kept.

    Returns:
        float (N, 4), N from 0 to ``most``.
    """
    height, width = size
    scale = torch.tensor([width, height, width, height], dtype=torch.float32)
    boxes = relative[~relative.isnan().any(-1)].float().cpu().clamp(0, 1) * scale
    boxes = torch.cat([boxes[:, :2].floor(), boxes[:, 2:].ceil()], dim=-1)
    return boxes[((boxes[:, 2:] - boxes[:, :2]) >= smallest).all(-1)][:most]
