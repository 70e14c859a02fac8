"""AP at IoU .5 of every single class by pycocotools (needs mmdet's COCO wrapper)."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IOU = 0.5


def class_ap50(
    truth: COCO,
    predictions: Sequence[Mapping[str, Any]],
    category_ids: Sequence[int],
    image_ids: Sequence[Any],
    max_detections: int,
) -> np.ndarray:
    """AP50 per class, as COCOeval's mean over 101 recalls.

    Args:
        truth: Annotations.
        predictions: Per image ``img_id``, ``bboxes`` (N, 4) x1 y1 x2 y2 in pixels, ``scores`` (N,)
            and ``labels`` (N,), as mmdet's metrics collect them.
        category_ids: Category id of each label, ascending, C.
        image_ids: Images to evaluate.
        max_detections: Detections per image and class that count.

    Returns:
        (C,) float64; NaN for a class without any box to find.
    """
    rows = result_rows(predictions, category_ids)
    if not rows:
        present = {a["category_id"] for a in truth.anns.values() if not a.get("iscrowd")}
        return np.array([0.0 if i in present else np.nan for i in category_ids])
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(truth, truth.loadRes(rows), "bbox")
        run.params.catIds = list(category_ids)
        run.params.imgIds = list(image_ids)
        run.params.iouThrs = np.array([IOU])
        run.params.maxDets = [max_detections]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][0, :, :, 0, 0]  # (recalls, classes); -1 without any box
    return np.where(precision[0] < 0, np.nan, precision.mean(0))


def result_rows(
    predictions: Sequence[Mapping[str, Any]], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Predictions in COCO's result format: boxes as x, y, width, height.

    Args:
        predictions: As :func:`class_ap50` takes them.
        category_ids: Category id of each label.
    """
    return [
        dict(
            image_id=image["img_id"],
            category_id=category_ids[int(label)],
            bbox=[float(v) for v in (*box[:2], *(box[2:] - box[:2]))],
            score=float(score),
        )
        for image in predictions
        for box, score, label in zip(image["bboxes"], image["scores"], image["labels"], strict=True)
    ]
