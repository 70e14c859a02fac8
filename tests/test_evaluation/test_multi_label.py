"""The metrics of the two special sets, and what each keeps per image."""

import numpy as np
import pytest
import torch

from react_mm.evaluation.multi_label import BinaryAUC, MultiLabelPrecision
from tests.test_evaluation.test_bootstrap import brute_auc, brute_eleven_points

RNG = np.random.default_rng(1)


def evaluate(metric, scores, labels, classes=None):
    metric.dataset_meta = {"classes": classes} if classes else {}
    samples = [
        {"scores": torch.tensor(s), "label": torch.as_tensor(y), "key": str(i)}
        for i, (s, y) in enumerate(zip(scores, labels, strict=True))
    ]
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    return metric.evaluate(len(samples))


def test_eleven_point_map():
    scores, labels = RNG.normal(size=(50, 3)), (RNG.random((50, 3)) < 0.4).astype(np.uint8)
    metric = MultiLabelPrecision()
    got = evaluate(metric, scores, labels, ("a", "b", "c"))
    assert got["zero_shot/map11"] == pytest.approx(brute_eleven_points(scores, labels > 0))
    assert got["zero_shot/images"] == 50
    assert metric.outcomes["map11"].keys[:2] == ("0", "1")
    perfect = evaluate(MultiLabelPrecision(), labels + 0.0, labels)
    assert perfect["zero_shot/map11"] == 1
    with pytest.raises(ValueError, match="multi_label=True"):
        evaluate(MultiLabelPrecision(), scores[:3], [0, 1, 2])


def test_area_under_the_curve():
    scores, labels = RNG.normal(size=(40, 2)), RNG.integers(0, 2, 40)
    got = evaluate(BinaryAUC(), scores, labels)
    assert got["zero_shot/roc_auc"] == pytest.approx(brute_auc(scores[:, 1] - scores[:, 0], labels))
    assert got["zero_shot/top1"] == pytest.approx((scores.argmax(1) == labels).mean())
    assert evaluate(BinaryAUC(), np.zeros((4, 2)), [0, 1, 0, 1])["zero_shot/roc_auc"] == 0.5
    with pytest.raises(ValueError, match="both classes"):
        evaluate(BinaryAUC(), scores[:3], [1, 1, 1])
    with pytest.raises(ValueError, match="two classes"):
        evaluate(BinaryAUC(), np.zeros((2, 3)), [0, 1])
