"""GT-box accuracy by hand."""

import math

import pytest
import torch

from react_mm.evaluation.gt_box import GTBoxAccuracy

META = dict(classes=("cat", "dog", "bee", "ant"), novel_classes=("bee", "ant"))


def evaluate(images, meta=META):
    metric = GTBoxAccuracy()
    metric.dataset_meta = meta
    for truth, named in images:
        sample = dict(
            img_path="x.png",
            gt_instances=dict(labels=torch.tensor(truth, dtype=torch.long)),
            pred_instances=dict(labels=torch.tensor(named, dtype=torch.long)),
        )
        metric.process({}, [sample])
    return metric.evaluate(len(images))


def test_by_hand():
    figures = evaluate([([0, 0, 1, 2], [0, 1, 1, 2]), ([], []), ([2, 2, 0], [0, 1, 0])])
    # cat 2 of 3, dog 1 of 1, bee 1 of 3; no ant
    assert figures["gt_box/accuracy"] == pytest.approx(4 / 7)
    assert figures["gt_box/accuracy_other"] == pytest.approx(3 / 4)
    assert figures["gt_box/accuracy_target"] == pytest.approx(1 / 3)
    assert figures["gt_box/class_accuracy"] == pytest.approx((2 / 3 + 1 + 1 / 3) / 3)
    assert figures["gt_box/boxes_target"] == 3


def test_keeps_what_was_right_image_by_image():
    metric = GTBoxAccuracy()
    metric.dataset_meta = META
    for number, (truth, named) in enumerate([([0, 0, 2], [0, 1, 2]), ([], []), ([2], [0])]):
        instances = [dict(labels=torch.tensor(v, dtype=torch.long)) for v in (truth, named)]
        sample = dict(
            img_path=f"{number}.png", gt_instances=instances[0], pred_instances=instances[1]
        )
        metric.process({}, [sample])
    figures = metric.evaluate(3)
    kept = metric.outcomes
    assert set(kept) == {"accuracy", "accuracy_target", "accuracy_other"}
    for name, outcomes in kept.items():
        assert outcomes.value() == pytest.approx(figures[f"gt_box/{name}"])
        assert outcomes.keys == ("0.png", "1.png", "2.png")
    assert kept["accuracy"].value([1, 0, 0]) == pytest.approx(2 / 3)
    assert math.isnan(kept["accuracy"].value([0, 1, 0]))  # a resample without a box


def test_groups_without_boxes_or_novel_classes():
    figures = evaluate([([0], [0])])
    assert math.isnan(figures["gt_box/accuracy_target"])
    plain = evaluate([([0], [0])], dict(classes=("cat",)))
    assert set(plain) == {"gt_box/accuracy", "gt_box/class_accuracy", "gt_box/boxes"}


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="x.png: 1 predictions for 2 boxes"):
        evaluate([([0, 1], [0])])
    with pytest.raises(ValueError, match="outside 0..3"):
        evaluate([([4], [0])])
