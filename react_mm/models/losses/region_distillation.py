"""Region self-distillation: crops of the frozen tower teach the dense embedding of the trained one.

Source of the idea: CLIPSelf (arXiv 2310.01403), which trains the whole tower without texts. Here it
is a regularizer beside any customization method. For boxes b of an image x at a high resolution

    loss = mean_b (1 - cos(pool_b(dense(x)), start(resize(crop_b(x)))))

where ``dense`` is the dense embedding of the tower in training, ``pool_b`` RoIAlign and a mean over
its bins, ``start`` the pooled embedding of the tower before training at its native size.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.layers.dense_attention import check_dense_mode
from react_mm.models.layers.region_pooling import region_embeddings
from react_mm.models.losses.region_boxes import given_boxes, grid_boxes, sample_seed
from react_mm.models.losses.teacher import teacher_loss
from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

IMAGES = ("pairs", "general", "both")
BOXES = ("grid", "given", "both")
DENSE_INPUTS = "dense_inputs"


@MODELS.register_module()
class RegionDistillation(nn.Module):
    """Teaches the RoI-pooled dense embedding what the starting tower says of the crop.

    The images are the batch's ``dense_inputs`` (uint8 (B, 3, S, S), see
    :class:`react_mm.datasets.dense_pairs.DensePairDataset`), or else ``inputs`` enlarged. The boxes
    of an image depend on (seed, key, epoch) alone: a resumed run draws the same.

    Args:
        weight: Factor of the mean of 1 - cosine.
        resolution: Side in pixels of the images of the student; None: as they come.
        grid: Largest number of rows and columns of the random grid.
        aspect: Largest ratio of the sides of a cell.
        boxes_per_image: Most boxes of an image, of each kind.
        boxes: ``grid``, ``given`` (the batch's ``boxes``: float (B, M, 4), fractions of the dense
            input, NaN where an image has fewer) or ``both``.
        images: ``pairs``, ``general`` or ``both``.
        images_per_batch: The first so many of them are used; None: all.
        dense_mode: Dense mode of the student; None: the tower's own.
        bins: RoIAlign bins per side.
        teacher_batch: Crops that the teacher embeds at once.
        seed: First part of what decides the boxes.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    def __init__(
        self,
        weight: float = 1.0,
        resolution: int | None = None,
        grid: int = 6,
        aspect: float = 2.0,
        boxes_per_image: int = 20,
        boxes: str = "grid",
        images: str = "both",
        images_per_batch: int | None = None,
        dense_mode: str | None = None,
        bins: int = 7,
        teacher_batch: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (("images", images, IMAGES), ("boxes", boxes, BOXES)):
            if value not in known:
                raise ValueError(
                    f"RegionDistillation: {name} is one of {', '.join(known)}, not {value!r}"
                    f"{near_matches(value, known)}"
                )
        if min(grid, boxes_per_image, bins, teacher_batch, images_per_batch or 1) < 1 or aspect < 1:
            raise ValueError(
                "RegionDistillation: grid, aspect, boxes_per_image, bins, teacher_batch and "
                "images_per_batch are 1 or more"
            )
        self.weight, self.resolution, self.seed = weight, resolution, seed
        self.grid, self.aspect, self.boxes_per_image = grid, aspect, boxes_per_image
        self.boxes, self.images, self.images_per_batch = boxes, images, images_per_batch
        self.dense_mode = None if dense_mode is None else check_dense_mode(dense_mode)
        self.bins, self.teacher_batch = bins, teacher_batch

    def remember(self, model: Any) -> None:
        """Refuses a dense mode that the tower does not have, before any training.

        Raises:
            ValueError: Naming the modes there are.
        """
        known = getattr(model.image_tower, "dense_modes", None)
        if known and self.dense_mode is not None and self.dense_mode not in known:
            raise ValueError(
                f"RegionDistillation: {type(model.image_tower).__name__} has no dense_mode "
                f"{self.dense_mode!r}; it has {', '.join(known)}"
            )

    def forward(
        self,
        model: Any,
        inputs: Tensor,
        embedded: Tensor,
        pairs: Tensor,
        batch: Mapping[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """See :meth:`react_mm.models.clip.CLIP.regularization`.

        Returns:
            ``loss_regions``.

        Raises:
            ValueError: If the batch has stored tokens in place of images and no ``dense_inputs``,
                or lacks given boxes.
        """
        batch = batch or {}
        rows = self.rows(pairs)
        images = self._images(model, inputs, batch, rows)
        rois = self.regions(images.shape[-2:], rows, batch).to(images.device)
        if not len(rois):
            return {"loss_regions": embedded.float().sum() * 0}
        native = tuple(model.image_tower.preprocess["size"])
        with model.starting_tower() as tower:
            crops = [_crop(images, roi, native) for roi in rois]
            parts = range(0, len(crops), self.teacher_batch)
            teacher = torch.cat(
                [
                    tower.encode_image(torch.cat(crops[i : i + self.teacher_batch])).float()
                    for i in parts
                ]
            )
        with _dense_mode(model.image_tower, self.dense_mode):
            dense = model.image_tower.dense_embedding(images)
        student = region_embeddings(dense.float(), rois, model.image_tower.stride, self.bins)
        return {"loss_regions": self.weight * teacher_loss(student, teacher)}

    def rows(self, pairs: Tensor) -> Tensor:
        """Rows of the batch that are used, int64 (K,).

        Args:
            pairs: bool (B,), True for a pair, False for a general image.
        """
        wanted = {"pairs": pairs, "general": ~pairs, "both": torch.ones_like(pairs)}[self.images]
        return torch.nonzero(wanted).flatten()[: self.images_per_batch]

    def regions(self, size: tuple[int, int], rows: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Boxes of the rows: float (N, 5), position in ``rows``, x1, y1, x2, y2 in pixels.

        Args:
            size: Height and width of the images.
            rows: As :meth:`rows` gives them.
            batch: ``key`` and ``epoch`` (absent: 0) of each row of the batch; ``boxes``.

        Raises:
            ValueError: If given boxes are asked for and the batch has none.
        """
        if self.boxes != "grid" and "boxes" not in batch:
            raise ValueError(
                f"RegionDistillation: boxes={self.boxes!r}, but the batch has no `boxes`: name a "
                "file of boxes in react_mm.DensePairDataset, or use boxes='grid'"
            )
        found = []
        for position, row in enumerate(rows.tolist()):
            own = []
            if self.boxes != "grid":
                # A region smaller than a few pixels has nothing to teach.
                own.append(given_boxes(batch["boxes"][row], size, 8, self.boxes_per_image))
            if self.boxes != "given":
                key = batch["key"][row] if "key" in batch else row
                epoch = int(batch["epoch"][row]) if "epoch" in batch else 0
                seed = sample_seed(self.seed, key, epoch)
                own.append(grid_boxes(size, seed, self.grid, self.aspect, self.boxes_per_image))
            boxes = torch.cat(own)
            found.append(F.pad(boxes, (1, 0), value=position))
        return torch.cat(found) if found else torch.zeros(0, 5)

    def _images(self, model: Any, inputs: Tensor, batch: Mapping[str, Any], rows: Tensor) -> Tensor:
        """Normalised images of the student, float (K, 3, S, S)."""
        if DENSE_INPUTS in batch:
            images = model.data_preprocessor({"inputs": batch[DENSE_INPUTS][rows]})["inputs"]
        elif inputs.ndim == 4:
            images = inputs[rows]
        else:
            raise ValueError(
                "RegionDistillation: the batch has stored tokens and no `dense_inputs`; use "
                "react_mm.DenseCachedPairDataset (or react_mm.PairDataset)"
            )
        size = (self.resolution, self.resolution)
        if self.resolution is None or tuple(images.shape[-2:]) == size:
            return images
        return _resize(images, size)


def _crop(images: Tensor, roi: Tensor, size: tuple[int, int]) -> Tensor:
    """One region in whole pixels, resized: float (1, 3, *size)."""
    row, x1, y1, x2, y2 = (int(v) for v in roi.tolist())
    return _resize(images[row : row + 1, :, y1:y2, x1:x2], size)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)


@contextmanager
def _dense_mode(tower: Any, mode: str | None) -> Iterator[None]:
    """Runs a tower with another dense mode."""
    before = tower.dense_mode
    if mode is not None:
        tower.dense_mode = mode
    try:
        yield
    finally:
        tower.dense_mode = before
