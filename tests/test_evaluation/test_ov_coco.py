"""AP on base and novel classes against pycocotools by hand; traps of mmdet's metric."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.evaluation.ov_coco import OpenVocabularyCocoMetric
from tests.coco_files import CATEGORIES, coco, random_boxes

CLASSES = ("cat", "wasp", "dog", "bee")  # by id
META = dict(classes=CLASSES, base_classes=("cat", "dog"), novel_classes=("wasp", "bee"))
IDS = {name: i for i, name in CATEGORIES}


def predict(boxes, keep=lambda name: True, noise=0.0, seed=0):
    """Predictions made from the truth: one (name, x1 y1 x2 y2, score) list per image."""
    rng = np.random.default_rng(seed)
    return [
        [
            (name, np.array([x, y, x + w, y + h]) + noise * rng.normal(size=4), rng.uniform())
            for name, x, y, w, h in own
            if keep(name)
        ]
        for own in boxes
    ]


def evaluate(tmp_path, boxes, predictions, meta=META, **options):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco(boxes)))
    metric = OpenVocabularyCocoMetric(ann_file=str(path), proposal_nums=(100, 300, 1000), **options)
    metric.dataset_meta = meta
    for image, own in enumerate(predictions):
        instances = dict(
            bboxes=torch.tensor(np.array([b for _, b, _ in own]).reshape(-1, 4)),
            scores=torch.tensor([s for _, _, s in own]),
            labels=torch.tensor([CLASSES.index(n) for n, _, _ in own], dtype=torch.long),
        )
        sample = dict(img_id=image + 1, ori_shape=(48, 64), pred_instances=instances)
        metric.process({}, [sample])
    return metric.evaluate(len(boxes)), path


def by_hand(path, predictions, names):
    """AP50 of pycocotools on the categories named alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        found = [
            dict(
                image_id=image + 1,
                category_id=IDS[name],
                bbox=[*box[:2], *(box[2:] - box[:2])],
                score=score,
            )
            for image, own in enumerate(predictions)
            for name, box, score in own
        ]
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.params.catIds = [IDS[name] for name in names]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats[1]


def test_agrees_with_pycocotools(tmp_path):
    boxes = random_boxes()
    predictions = predict(boxes, noise=3.0)
    figures, path = evaluate(tmp_path, boxes, predictions)
    base, novel = (by_hand(path, predictions, META[k]) for k in ("base_classes", "novel_classes"))
    assert figures["ov_coco/base_ap50"] == pytest.approx(base)
    assert figures["ov_coco/novel_ap50"] == pytest.approx(novel)
    assert figures["ov_coco/bbox_mAP_50"] == pytest.approx(
        by_hand(path, predictions, CLASSES), abs=5e-4
    )
    assert 0.1 < base < 0.99 and abs(base - novel) > 0.01


def test_ids_that_do_not_ascend(tmp_path):
    """Perfect predictions of the base classes alone: base 1, novel 0 (mmdet's own: .67, .50)."""
    boxes = random_boxes()
    figures, _ = evaluate(tmp_path, boxes, predict(boxes, keep=("cat", "dog").__contains__))
    assert figures["ov_coco/base_ap50"] == pytest.approx(1.0)
    assert figures["ov_coco/novel_ap50"] == pytest.approx(0.0)


def test_nothing_predicted_is_zero_not_absent(tmp_path):
    boxes = random_boxes(images=3)
    figures, _ = evaluate(tmp_path, boxes, [[], [], []])
    assert figures["ov_coco/base_ap50"] == figures["ov_coco/novel_ap50"] == 0.0
    assert figures["ov_coco/bbox_mAP_50"] == 0.0


def test_wrong_classes_are_refused(tmp_path):
    boxes = random_boxes(images=2)
    for wrong, named in [
        (dict(classes=("cat", "hound", "dog", "bee")), "hound"),
        (dict(classes=("dog", "cat", "bee", "wasp")), "order of the category ids"),
    ]:
        with pytest.raises(ValueError, match=named):
            evaluate(tmp_path, boxes, predict(boxes), meta={**META, **wrong})
    with pytest.raises(ValueError, match="no 'novel_classes'"):
        meta = {k: v for k, v in META.items() if k != "novel_classes"}
        evaluate(tmp_path, boxes, predict(boxes), meta=meta)
