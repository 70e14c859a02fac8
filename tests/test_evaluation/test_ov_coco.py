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


def by_hand(path, predictions, names, place=1):
    """AP50 (place 0: AP) of pycocotools on the categories named alone."""
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
    return run.stats[place]


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


@pytest.mark.parametrize("seed", [1, 2])
def test_every_subset_agrees_on_crowded_images(tmp_path, seed):
    """Wrong classes, repeated boxes and images without any: AP50 and AP of base, novel and all."""
    rng = np.random.default_rng(seed)
    boxes = [*random_boxes(images=9, seed=seed), []]
    predictions = [
        [
            (str(rng.choice([name, *CLASSES])), box + rng.normal(size=4) * 2, rng.uniform())
            for name, box, _ in own
            for _ in range(5)
        ]
        for own in predict(boxes)
    ]
    predictions[3] = []
    figures, path = evaluate(tmp_path, boxes, predictions)
    for group, names in (("base", META["base_classes"]), ("novel", META["novel_classes"])):
        for figure, place in (("ap50", 1), ("ap", 0)):
            expected = by_hand(path, predictions, names, place)
            assert figures[f"ov_coco/{group}_{figure}"] == pytest.approx(expected, abs=1e-12)
            assert 0.02 < expected < 0.9
    everything = by_hand(path, predictions, CLASSES)
    assert figures["ov_coco/bbox_mAP_50"] == pytest.approx(everything, abs=5e-4)


def test_by_frequency_in_the_retrieved_set(tmp_path):
    """Bins against pycocotools on the classes that each holds."""
    (tmp_path / "counts.json").write_text(json.dumps({"Cat": 500, "dog": 9, "wasp": 12, "x": 3}))
    boxes = random_boxes()
    predictions = predict(boxes, noise=3.0)
    options = dict(frequency=str(tmp_path / "counts.json"))
    figures, path = evaluate(tmp_path, boxes, predictions, **options)
    for bin_name, names in dict(none=["bee"], few=["dog"], medium=["wasp"], many=["cat"]).items():
        expected = by_hand(path, predictions, names)
        assert figures[f"ov_coco/ap50_{bin_name}"] == pytest.approx(expected)
        assert figures[f"ov_coco/classes_{bin_name}"] == 1
    assert figures["ov_coco/novel_ap50_none"] == figures["ov_coco/ap50_none"]
    assert figures["ov_coco/novel_classes_few"] == 0
    assert figures["ov_coco/novel_ap50_few"] == -1
    merged, _ = evaluate(tmp_path, boxes, predictions, frequency_limits=(13, 1000), **options)
    assert merged["ov_coco/classes_few"] == 2 and merged["ov_coco/classes_medium"] == 1
    expected = by_hand(path, predictions, ["dog", "wasp"])
    assert merged["ov_coco/ap50_few"] == pytest.approx(expected)
    nothing, _ = evaluate(tmp_path, boxes, [[] for _ in boxes], **options)
    assert nothing["ov_coco/ap50_many"] == 0 and nothing["ov_coco/classes_many"] == 1


def test_retrieved_set_of_other_classes_is_refused_at_the_first_image(tmp_path):
    (tmp_path / "counts.json").write_text('{"wine": 3, "dogs": 2}')
    boxes = random_boxes(images=2)
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco(boxes)))
    metric = OpenVocabularyCocoMetric(ann_file=str(path), frequency=str(tmp_path / "counts.json"))
    metric.dataset_meta = META
    with pytest.raises(ValueError, match="none of the 4 classes"):
        metric.process({}, [])
    with pytest.raises(ValueError, match="two rising numbers"):
        OpenVocabularyCocoMetric(
            ann_file=str(path), frequency=str(tmp_path / "counts.json"), frequency_limits=(5, 5)
        )


def test_boxes_and_masks_have_figures_of_their_own(tmp_path):
    """Perfect boxes; the masks of novel objects cover their upper 30 per cent: no mask AP there."""
    boxes = random_boxes()
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco(boxes)))
    metric = OpenVocabularyCocoMetric(ann_file=str(path), metric=["bbox", "segm"])
    metric.dataset_meta = META
    for image, own in enumerate(boxes):
        masks = torch.zeros(len(own), 48, 64, dtype=torch.bool)
        for mask, (name, x, y, w, h) in zip(masks, own, strict=True):
            mask[y : y + (int(0.3 * h) if name in META["novel_classes"] else h), x : x + w] = True
        instances = dict(
            bboxes=torch.tensor([[x, y, x + w, y + h] for _, x, y, w, h in own]).float(),
            scores=torch.ones(len(own)),
            labels=torch.tensor([CLASSES.index(name) for name, *_ in own]),
            masks=masks,
        )
        metric.process({}, [dict(img_id=image + 1, ori_shape=(48, 64), pred_instances=instances)])
    figures = metric.evaluate(len(boxes))
    assert figures["ov_coco/base_ap50"] == figures["ov_coco/novel_ap50"] == pytest.approx(1)
    assert figures["ov_coco/segm_base_ap50"] == pytest.approx(1)
    assert figures["ov_coco/segm_novel_ap50"] == 0
    assert figures["ov_coco/bbox_mAP_50"] == pytest.approx(1)
    assert 0 < figures["ov_coco/segm_mAP_50"] < 1
    assert metric.metrics == ["bbox", "segm"]
