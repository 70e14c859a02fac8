"""AP50 of single classes against pycocotools run once per class, on crowded images."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from react_mm.evaluation.class_ap import class_ap50
from tests.coco_files import CATEGORIES, coco, random_boxes

IDS = sorted(i for i, _ in CATEGORIES)


def crowded(tmp_path, seed=0):
    """Truth with a crowd region, and many noisy predictions with some of wrong classes."""
    rng = np.random.default_rng(seed)
    annotation = coco(random_boxes(images=8, seed=seed))
    for entry in annotation["annotations"]:
        if entry["category_id"] == 5:  # wasps: crowds alone, so nothing to find
            entry["iscrowd"] = 1
            entry["segmentation"] = {"counts": [0, 64 * 48], "size": [48, 64]}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(annotation))
    predictions = []
    for image in range(1, 9):
        own = [a for a in annotation["annotations"] if a["image_id"] == image]
        rows = [
            ([x, y, x + w, y + h], IDS.index(int(rng.choice([a["category_id"], *IDS]))))
            for a in own
            for x, y, w, h in [a["bbox"] + rng.normal(size=4) * 2 for _ in range(6)]
        ]
        predictions.append(
            dict(
                img_id=image,
                bboxes=np.array([box for box, _ in rows]),
                labels=np.array([label for _, label in rows]),
                scores=rng.uniform(size=len(rows)),
            )
        )
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path)), predictions


def by_hand(truth, predictions, category):
    """COCOeval's own summary for one class."""
    rows = [
        dict(image_id=p["img_id"], category_id=IDS[k], bbox=[*b[:2], *(b[2:] - b[:2])], score=s)
        for p in predictions
        for b, s, k in zip(p["bboxes"], p["scores"], p["labels"], strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(truth, truth.loadRes(rows), "bbox")
        run.params.catIds = [category]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[1]


def test_every_class_agrees(tmp_path):
    truth, predictions = crowded(tmp_path)
    found = class_ap50(truth, predictions, IDS, truth.getImgIds(), 100)
    expected = [by_hand(truth, predictions, i) for i in IDS]
    assert expected[1] == -1 and np.isnan(found[1])
    rest = [0, 2, 3]
    np.testing.assert_allclose(found[rest], np.array(expected)[rest], atol=1e-12)
    assert found[rest].min() > 0.05 and found[rest].max() < 0.95


def test_nothing_predicted(tmp_path):
    truth, predictions = crowded(tmp_path)
    empty = [{**p, **{k: p[k][:0] for k in ("bboxes", "scores", "labels")}} for p in predictions]
    found = class_ap50(truth, empty, IDS, truth.getImgIds(), 100)
    assert found[[0, 2, 3]].tolist() == [0, 0, 0] and np.isnan(found[1])


def test_detections_beyond_the_limit_do_not_count(tmp_path):
    truth, predictions = crowded(tmp_path)
    few = class_ap50(truth, predictions, IDS, truth.getImgIds(), 1)
    many = class_ap50(truth, predictions, IDS, truth.getImgIds(), 100)
    assert np.nanmean(few) < np.nanmean(many) - 0.05
    assert many.mean() != pytest.approx(few.mean())
