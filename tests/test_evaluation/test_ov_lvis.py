"""Federated AP on a small file with a known answer; traps of lvis and of mmdet's metric."""

import json

import numpy as np
import pytest
import torch

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.evaluation import ov_lvis
from react_mm.evaluation.ov_lvis import OpenVocabularyLVISMetric, numpy_float
from tests.lvis_files import BOXES, lvis, write_lvis

CLASSES = ("bow_(weapon)", "dog", "bee", "cat")  # by id
META = dict(classes=CLASSES)
ELSEWHERE = (50, 36, 8, 8)


def found(boxes=BOXES, score=0.9):
    """Perfect detections: (image, name, x, y, w, h, score)."""
    return [(*box, score) for box in boxes]


def evaluate(path, detections, meta=META, **options):
    metric = OpenVocabularyLVISMetric(ann_file=str(path), **options)
    metric.dataset_meta = meta
    for image in range(1, 5):
        own = [d for d in detections if d[0] == image]
        boxes = torch.tensor([[x, y, x + w, y + h] for _, _, x, y, w, h, _ in own])
        instances = dict(
            bboxes=boxes.reshape(-1, 4).float(),
            scores=torch.tensor([d[-1] for d in own]),
            labels=torch.tensor([CLASSES.index(d[1]) for d in own], dtype=torch.long),
        )
        metric.process({}, [dict(img_id=image, ori_shape=(48, 64), pred_instances=instances)])
    return metric.evaluate(4)


def test_perfect_detections(tmp_path):
    figures = evaluate(write_lvis(tmp_path), found())
    assert [figures[f"ov_lvis/bbox_{name}"] for name in ("AP", "APr", "APc", "APf")] == [1.0] * 4


def test_federated_rules_by_hand(tmp_path):
    """Better-scored wrong detections: only those in images that know about the class count.

    - dog in image 3: neither annotated nor known to be absent there: not counted, APc stays 1.
    - cat in image 4: annotated, but not exhaustively: an unmatched one is no mistake.
    - cat in image 2: known to be absent: a mistake above all three cats: precision 3/4 at every
      recall, APf = .75.
    - bee in images 1 and 3: known to be absent: two mistakes above the one bee: precision 1/3.
      The bow is perfect: APr = (1/3 + 1) / 2 = .667.
    """
    wrong = [
        (3, "dog", *ELSEWHERE, 0.99),
        (4, "cat", *ELSEWHERE, 0.99),
        (2, "cat", *ELSEWHERE, 0.95),
        (1, "bee", *ELSEWHERE, 0.99),
        (3, "bee", *ELSEWHERE, 0.99),
    ]
    figures = evaluate(write_lvis(tmp_path), [*found(), *wrong])
    assert figures["ov_lvis/bbox_APc"] == pytest.approx(1.0)
    assert figures["ov_lvis/bbox_APf"] == pytest.approx(0.75, abs=1e-3)
    assert figures["ov_lvis/bbox_APr"] == pytest.approx(2 / 3, abs=1e-3)
    assert figures["ov_lvis/bbox_AP"] == pytest.approx((1 + 0.75 + 1 / 3 + 1) / 4, abs=1e-3)
    assert figures["ov_lvis/bbox_AP50"] == figures["ov_lvis/bbox_AP"]


def test_missed_objects_and_loose_boxes(tmp_path):
    """One of two dogs found; the bow at an overlap of .6, which counts at 3 of 10 thresholds.

    Recall .5 of the dogs: precision 1 at the 51 recalls up to .5 of 101.
    """
    dog, bow = BOXES[1], BOXES[4]
    loose = (bow[0], bow[1], bow[2], bow[3], bow[4], bow[5] / 0.62)  # overlap .62
    figures = evaluate(write_lvis(tmp_path), found([dog, loose]))
    assert figures["ov_lvis/bbox_APc"] == pytest.approx(51 / 101, abs=1e-3)
    assert figures["ov_lvis/bbox_APr"] == pytest.approx((0.3 + 0) / 2, abs=1e-3)
    assert figures["ov_lvis/bbox_APf"] == 0


def test_labels_follow_the_data_sets_classes_not_the_file(tmp_path):
    """The file's categories stand in another order; only dogs are found, all of them."""
    figures = evaluate(write_lvis(tmp_path), found([box for box in BOXES if box[1] == "dog"]))
    assert figures["ov_lvis/bbox_APc"] == 1.0
    assert figures["ov_lvis/bbox_APf"] == figures["ov_lvis/bbox_APr"] == 0


def test_nothing_predicted_is_zero_not_absent(tmp_path):
    figures = evaluate(write_lvis(tmp_path), [])
    assert figures["ov_lvis/bbox_APr"] == figures["ov_lvis/bbox_AP"] == 0.0
    assert len(figures) == 9


def test_a_vocabulary_without_some_classes(tmp_path):
    """Classes that the model was not asked for count as not found."""
    meta = dict(classes=CLASSES[:2])
    detections = found([box for box in BOXES if box[1] in CLASSES[:2]])
    figures = evaluate(write_lvis(tmp_path), detections, meta)
    assert figures["ov_lvis/bbox_APr"] == 0.5 and figures["ov_lvis/bbox_APc"] == 1.0
    with pytest.raises(ValueError, match="dogg; did you mean dog"):
        evaluate(write_lvis(tmp_path), detections, dict(classes=("hound", "dogg")))
    with pytest.raises(ValueError, match="no 'classes'"):
        evaluate(write_lvis(tmp_path), detections, {})


def test_numpys_alias_is_there_during_evaluation_only():
    assert "float" not in vars(np)
    with numpy_float():
        assert vars(np)["float"] is float
    with pytest.raises(RuntimeError), numpy_float():
        raise RuntimeError
    assert "float" not in vars(np)


def test_other_formats_and_a_missing_package_are_refused(tmp_path, monkeypatch):
    for part, field in [("images", "neg_category_ids"), ("categories", "frequency")]:
        content = lvis()
        del content[part][1][field]
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=f"not in LVIS's format.*{field}"):
            OpenVocabularyLVISMetric(ann_file=str(tmp_path / "a.json"))
    monkeypatch.setattr(ov_lvis, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install lvis==0.5.3"):
        OpenVocabularyLVISMetric(ann_file=str(tmp_path / "a.json"))


def test_by_frequency_in_the_retrieved_set(tmp_path):
    """The wrong detections of the federated test: cat .75 and bee 1/3 at every threshold."""
    (tmp_path / "counts.json").write_text('{"cat": 10, "bow (weapon)": 120, "dog": 3}')
    wrong = [
        (2, "cat", *ELSEWHERE, 0.95),
        (1, "bee", *ELSEWHERE, 0.99),
        (3, "bee", *ELSEWHERE, 0.99),
        (3, "dog", *ELSEWHERE, 0.99),
    ]
    meta = dict(classes=CLASSES, novel_classes=("bow_(weapon)", "bee"))
    options = dict(frequency=str(tmp_path / "counts.json"))
    figures = evaluate(write_lvis(tmp_path), [*found(), *wrong], meta, **options)
    expected = dict(none=1 / 3, few=1.0, medium=0.75, many=1.0)
    for name, value in expected.items():
        assert figures[f"ov_lvis/ap50_{name}"] == pytest.approx(value)
        assert figures[f"ov_lvis/classes_{name}"] == 1
    assert figures["ov_lvis/novel_ap50_none"] == pytest.approx(1 / 3)
    assert figures["ov_lvis/novel_ap50_medium"] == -1
    nothing = evaluate(write_lvis(tmp_path), [], meta, **options)
    assert nothing["ov_lvis/ap50_many"] == 0 and nothing["ov_lvis/classes_many"] == 1
    (tmp_path / "counts.json").write_text('{"wine": 1}')
    with pytest.raises(ValueError, match="none of the 4 classes"):
        evaluate(write_lvis(tmp_path), [], meta, **options)
