"""Predictions as plain dicts that JSON can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

MASK_FORMATS = ("rle", "polygons")
DECIMALS = 6


def classification_result(scores: Tensor, names: Sequence[str], top: int) -> dict[str, Any]:
    """Best classes of an image.

    Args:
        scores: Logits float (C,).
        names: The C classes.
        top: How many to name.

    Returns:
        ``classes``: up to ``top`` dicts ``name, label, score`` (probability), best first.
    """
    probabilities = scores.float().softmax(dim=-1)
    best = probabilities.sort(descending=True, stable=True)
    return {
        "classes": [
            {"name": names[label], "label": label, "score": round(score, DECIMALS)}
            for score, label in zip(
                best.values[:top].tolist(), best.indices[:top].tolist(), strict=True
            )
        ]
    }


def detection_result(
    sample: Any, names: Sequence[str], score_thr: float, mask_format: str
) -> dict[str, Any]:
    """Objects of an image.

    Args:
        sample: mmdet's ``DetDataSample`` with ``pred_instances`` in pixels of the original image.
        names: The classes.
        score_thr: Objects below are left out.
        mask_format: One of :data:`MASK_FORMATS`.

    Returns:
        ``objects``: dicts ``name, label, score, box`` (x1, y1, x2, y2 in pixels) and, where the
        model predicts masks, ``mask``; best first.
    """
    found = sample.pred_instances.cpu()
    found = found[found.scores >= score_thr]
    found = found[found.scores.sort(descending=True, stable=True).indices]
    objects = []
    for place, (box, score, label) in enumerate(
        zip(found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    ):
        entry: dict[str, Any] = {
            "name": names[label],
            "label": label,
            "score": round(score, DECIMALS),
            "box": [round(value, 2) for value in box],
        }
        if "masks" in found:
            entry["mask"] = mask_entry(np.asarray(found.masks[place]), mask_format)
        objects.append(entry)
    return {"objects": objects}


def mask_entry(mask: np.ndarray, mask_format: str) -> dict[str, Any] | list[list[float]]:
    """A mask as COCO stores it.

    Args:
        mask: bool or uint8 (H, W).
        mask_format: ``rle``: ``dict(size=[H, W], counts=str)``, exact. ``polygons``: outlines as
            lists ``[x1, y1, x2, y2, ...]``; holes are filled and parts of fewer than three points
            are lost.
    """
    mask = np.asarray(mask, dtype=np.uint8)
    if mask_format == "rle":
        from pycocotools import mask as coco_mask

        code = coco_mask.encode(np.asfortranarray(mask))
        return {"size": [int(v) for v in code["size"]], "counts": code["counts"].decode("ascii")}
    import cv2

    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [outline.reshape(-1).astype(float).tolist() for outline in outlines if len(outline) > 2]


def decode_mask(entry: Mapping[str, Any] | Sequence, height: int, width: int) -> np.ndarray:
    """The mask of :func:`mask_entry` again, bool (H, W).

    Args:
        entry: What :func:`mask_entry` returned.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    from pycocotools import mask as coco_mask

    if isinstance(entry, Mapping):
        return coco_mask.decode(dict(entry)).astype(bool)
    if not entry:
        return np.zeros((height, width), dtype=bool)
    codes = coco_mask.frPyObjects(list(entry), height, width)
    return coco_mask.decode(coco_mask.merge(codes)).astype(bool)


def segmentation_result(sample: Any, names: Sequence[str]) -> dict[str, Any]:
    """Label map of an image.

    Args:
        sample: mmseg's ``SegDataSample`` with ``pred_sem_seg`` (1, H, W).
        names: The classes.

    Returns:
        ``regions``: dicts ``name, label, pixels, share`` of the classes that occur, largest first;
        ``map_png``: the label map as a PNG (8 bits, 16 from 256 classes on) in base64.
    """
    labels = sample.pred_sem_seg.data[0].cpu().numpy()
    present, counts = np.unique(labels, return_counts=True)
    order = np.lexsort((present, -counts))
    regions = [
        {
            "name": names[int(label)],
            "label": int(label),
            "pixels": int(count),
            "share": round(int(count) / labels.size, DECIMALS),
        }
        for label, count in zip(present[order], counts[order], strict=True)
    ]
    return {
        "regions": regions,
        "map_png": base64.b64encode(png_of_map(labels, len(names))).decode("ascii"),
    }


def png_of_map(labels: np.ndarray, classes: int) -> bytes:
    """A label map (H, W) as PNG bytes: 8 bits a pixel, 16 from 256 classes on."""
    stream = io.BytesIO()
    kind = np.uint8 if classes <= 256 else np.uint16
    Image.fromarray(labels.astype(kind)).save(stream, "PNG")
    return stream.getvalue()


def read_map(data: bytes) -> np.ndarray:
    """The label map of a PNG, int64 (H, W)."""
    return np.asarray(Image.open(io.BytesIO(data))).astype(np.int64)
