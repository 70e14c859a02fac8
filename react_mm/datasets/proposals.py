"""Files of object proposals: boxes with an objectness, by image."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from react_mm.manifest import atomic_path
from react_mm.registry import TRANSFORMS

_FIELDS = ("image_id", "bbox", "score")
_HOW = (
    "write them in COCO's results format: a JSON list of {image_id, bbox: [x, y, w, h], score}, as "
    "outfile_prefix of mmdet's CocoMetric does, or the same three as arrays of an .npz file"
)


class Proposals:
    """Proposals of all images, sorted by image and, within one, by objectness.

    Args:
        image_id: int (N,).
        bbox: float (N, 4), x y w h in pixels of the original image.
        score: float (N,), objectness in [0, 1].
        where: Where they come from, for messages.

    Raises:
        ValueError: If lengths differ, a box has no area, or an objectness is no number in [0, 1];
            the message names the row.
    """

    def __init__(
        self, image_id: np.ndarray, bbox: np.ndarray, score: np.ndarray, where: str
    ) -> None:
        image_id, bbox = np.asarray(image_id), np.asarray(bbox, dtype=np.float32)
        score = np.asarray(score, dtype=np.float32)
        if not len(image_id) or image_id.dtype.kind not in "iu":
            raise ValueError(f"{where}: no proposals, or image_id is no whole number")
        if bbox.shape != (len(image_id), 4) or score.shape != (len(image_id),):
            raise ValueError(
                f"{where}: image_id {image_id.shape}, bbox {bbox.shape} and score {score.shape} "
                "are not (N,), (N, 4) and (N,)"
            )
        wrong = ~(np.isfinite(bbox).all(1) & (bbox[:, 2:] > 0).all(1))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{where}, row {row}: bbox {bbox[row].tolist()} is no box; x, y, w, h are numbers, "
                f"w and h positive ({int(wrong.sum())} such rows)"
            )
        wrong = ~((score >= 0) & (score <= 1))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{where}, row {row}: score {score[row]} is no objectness in [0, 1] "
                f"({int(wrong.sum())} such rows); put a sigmoid on logits"
            )
        order = np.lexsort((-score, image_id))
        self.where = where
        self.image_id, self.bbox, self.score = image_id[order], bbox[order], score[order]

    @classmethod
    def read(cls, path: str | Path) -> "Proposals":
        """Reads a ``.json`` or ``.npz`` file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it has another format; pickles are refused because reading them executes
                what is in them.
        """
        path = Path(path)
        if path.suffix not in (".json", ".npz"):
            pickled = path.suffix in (".pkl", ".pickle", ".pth", ".pt")
            why = (
                "is a pickle, which executes code when it is read"
                if pickled
                else "is no proposal file"
            )
            raise ValueError(f"proposal file {path} {why}; {_HOW}")
        if not path.is_file():
            raise FileNotFoundError(f"proposal file {path} does not exist; {_HOW}")
        try:
            return cls(**(_arrays(path) if path.suffix == ".npz" else _rows(path)), where=str(path))
        except (KeyError, TypeError, OSError) as error:
            raise ValueError(f"{path} is no proposal file ({error}); {_HOW}") from error

    def of(self, image_id: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Boxes float32 (n, 4) x1 y1 x2 y2 and objectness float32 (n,) of an image, best first.

        A box that stands several times (a detector's, once per class) counts once, with its best
        score.

        Returns:
            None if the file has nothing of this image.
        """
        first, last = np.searchsorted(self.image_id, [image_id, image_id + 1])
        if first == last:
            return None
        own, score = self.bbox[first:last], self.score[first:last]
        _, kept = np.unique(own, axis=0, return_index=True)
        kept.sort()
        own = own[kept]
        return np.concatenate([own[:, :2], own[:, :2] + own[:, 2:]], axis=1), score[kept]

    def save(self, path: str | Path) -> None:
        """Writes an ``.npz`` file, atomically: smaller and read faster than JSON."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **{name: getattr(self, name) for name in _FIELDS})


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in _FIELDS}
    except KeyError:
        raise
    except Exception as error:  # numpy and zipfile raise whatever the damage leads to
        raise ValueError(f"{path} cannot be read ({error}); {_HOW}") from error


def _rows(path: Path) -> dict[str, Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{path} is no list of results; {_HOW}")
    for number, row in enumerate(rows):
        lacking = [name for name in _FIELDS if name not in row]
        if lacking or len(row["bbox"]) != 4:
            raise ValueError(f"{path}, row {number}: no {lacking or 'bbox of 4 numbers'}; {_HOW}")
    return {name: [row[name] for row in rows] for name in _FIELDS}


@TRANSFORMS.register_module()
class LoadProposals(BaseTransform):
    """Puts an image's proposals beside it, in input pixels; stands behind the resizing.

    Required keys: ``img_id``, ``img_shape``; ``scale_factor`` if the image was resized. Added keys:
    ``proposals`` float32 (n, 4), ``proposals_scores`` float32 (n,), which mmdet's ``PackDetInputs``
    packs as ``data_sample.proposals``.

    Args:
        proposal_file: ``.json`` or ``.npz``, see :class:`Proposals`; mmdet's pickles are refused.
        max_proposals: The best by objectness that are kept of an image.
        allow_missing: Whether an image without any proposal is accepted.

    Raises:
        FileNotFoundError, ValueError: If the file cannot be read, see :class:`Proposals`.
    """

    def __init__(
        self, proposal_file: str, max_proposals: int = 1000, allow_missing: bool = False
    ) -> None:
        self.proposals = Proposals.read(proposal_file)
        self.max_proposals, self.allow_missing = max_proposals, allow_missing

    def transform(self, results: dict) -> dict:
        """Adds the proposals.

        Raises:
            ValueError: If the image was flipped, or the file has no proposal of it.
        """
        if results.get("flip"):
            raise ValueError("LoadProposals: the image was flipped, its proposals are not")
        found = self.proposals.of(results["img_id"])
        if found is None:
            if not self.allow_missing:
                raise ValueError(
                    f"{self.proposals.where} has no proposal of image {results['img_id']} "
                    f"({results.get('img_path')}): is it of another set? allow_missing=True "
                    "accepts such images"
                )
            found = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        boxes, scores = (part[: self.max_proposals] for part in found)
        across, down = results.get("scale_factor", (1.0, 1.0))
        height, width = results["img_shape"][:2]
        boxes = boxes * np.array([across, down, across, down], np.float32)
        results["proposals"] = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
        results["proposals_scores"] = scores
        return results
