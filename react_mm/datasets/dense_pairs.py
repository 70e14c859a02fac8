"""Pairs that also carry a larger image and boxes, for region self-distillation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.datasets.images import decode_image, to_uint8_chw
from react_mm.datasets.pairs import PairDataset
from react_mm.datasets.transforms import ResizeCenterCrop
from react_mm.registry import DATASETS
from react_mm.suggestions import near_matches

Boxes = list[list[float]]


class DenseInputs:
    """Adds ``dense_inputs`` and, where boxes are given, ``boxes`` to the items of a pair data set.

    Args:
        dense_size: Side in pixels of the larger image (resized and centre-cropped, nothing random).
        boxes: JSON file ``{key: [[x1, y1, x2, y2], ...]}``, fractions of the width and the height
            of the whole image, key as :meth:`PairDataset.key` gives it; None: no boxes.
        most_boxes: Boxes of an image that are kept.
        **kwargs: Those of the pair data set.

    Raises:
        FileNotFoundError, ValueError: If the file of boxes is missing or malformed, or names no
            image of the set.
    """

    def __init__(
        self, dense_size: int, boxes: str | None = None, most_boxes: int = 20, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dense_size, self.most_boxes = dense_size, most_boxes
        self._resize = ResizeCenterCrop(dense_size)
        self._boxes = None if boxes is None else _read_boxes(Path(boxes), self)

    def __getitem__(self, position: int | tuple[int, ...]) -> dict[str, Any]:
        """As the pair data set; ``dense_inputs`` uint8 (3, S, S); ``boxes`` float (M, 4).

        Boxes are fractions of ``dense_inputs``; NaN fills the rows that an image lacks.
        """
        item = super().__getitem__(position)  # type: ignore[misc]
        index = int(position[1] if isinstance(position, tuple) else position)
        source, image = self._load(index)  # type: ignore[attr-defined]
        item["dense_inputs"] = to_uint8_chw(self._resize({"image": image})["image"])
        if self._boxes is not None:
            own = self._boxes.get(self.key(source), [])  # type: ignore[attr-defined]
            item["boxes"] = _in_crop(own[: self.most_boxes], image.size, self.most_boxes)
        return item


@DATASETS.register_module()
class DensePairDataset(DenseInputs, PairDataset):
    """:class:`PairDataset` with :class:`DenseInputs`; the larger image is never augmented."""


@DATASETS.register_module()
class DenseCachedPairDataset(DenseInputs, CachedPairDataset):
    """:class:`CachedPairDataset` with :class:`DenseInputs`: tokens and, beside them, pixels."""

    def _load(self, index: int) -> tuple[int, Any]:
        if self._store is None:
            return super()._load(index)
        return index, decode_image(self._read(index))  # filling the store has read every image


def _in_crop(boxes: Boxes, size: tuple[int, int], rows: int) -> Tensor:
    """Fractions of the whole image -> fractions of its centre square, float (rows, 4)."""
    found = torch.full((rows, 4), float("nan"))
    width, height = size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        inside = np.array(
            [x1 * width - left, y1 * height - top, x2 * width - left, y2 * height - top]
        )
        inside = (inside / side).clip(0, 1)
        if inside[2] > inside[0] and inside[3] > inside[1]:
            found[row] = torch.from_numpy(inside)
    return found


def _read_boxes(path: Path, dataset: Any) -> dict[str, Boxes]:
    if not path.is_file():
        raise FileNotFoundError(f"boxes file {path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        boxes = {key: [[float(v) for v in box] for box in rows] for key, rows in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not {{key: [[x1, y1, x2, y2], ...]}}: {error}") from error
    for key, rows in boxes.items():
        for box in rows:
            if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                raise ValueError(
                    f"{path}: the box {box} of {key!r} is not x1 < x2, y1 < y2 within 0..1 "
                    "(fractions of the image's width and height)"
                )
    keys = [dataset.key(index) for index in range(len(dataset))]
    if not set(keys) & set(boxes):
        first = next(iter(boxes), "")
        raise ValueError(
            f"{path} has boxes for no image of the set: {first!r} is no key"
            f"{near_matches(first, keys)}"
        )
    return boxes
