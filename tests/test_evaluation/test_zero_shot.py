import numpy as np
import pytest
import torch

from react_mm.evaluation.zero_shot import ZeroShotAccuracy

CLASSES = ("a", "b", "c", "d")


def evaluate(scores, labels, meta=None, **options):
    metric = ZeroShotAccuracy(**options)
    metric.dataset_meta = meta or {}
    samples = [
        {"scores": torch.tensor(s), "label": label} for s, label in zip(scores, labels, strict=True)
    ]
    metric.process(None, samples[:3])
    metric.process(None, samples[3:])
    return metric.evaluate(len(samples))


def test_equals_plain_numpy():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    meta = {"classes": CLASSES, "groups": {"target": ["d", "b"], "other": ["a", "c"]}}
    got = evaluate(scores, labels.tolist(), meta, per_class=True, topk=(2,))
    right = scores.argmax(1) == labels
    order = np.argsort(-scores, axis=1)
    target = (labels == 1) | (labels == 3)
    expected = {
        "zero_shot/top1": right.mean(),
        "zero_shot/top2": (order[:, :2] == labels[:, None]).any(1).mean(),
        "zero_shot/target": right[target].mean(),  # all four classes are candidates
        "zero_shot/other": right[~target].mean(),
        "zero_shot/mean_class": np.mean([right[labels == c].mean() for c in range(4)]),
        "zero_shot/images": 200,
        **{f"zero_shot/class/{n}": right[labels == c].mean() for c, n in enumerate(CLASSES)},
    }
    assert got == pytest.approx(expected)


def test_a_model_that_scores_all_alike_gets_no_credit():
    got = evaluate(np.zeros((8, 4)), [0, 1, 2, 3] * 2, {"classes": CLASSES})
    assert got["zero_shot/top1"] == 0.25


def test_absent_classes_and_groups_do_not_count():
    meta = {"classes": CLASSES, "groups": {"target": ["d"], "other": ["a"]}}
    got = evaluate(np.eye(4)[[0, 0, 1]], [0, 0, 0], meta)
    assert got["zero_shot/mean_class"] == pytest.approx(2 / 3)
    assert got["zero_shot/other"] == pytest.approx(2 / 3)
    assert "zero_shot/target" not in got


def test_wrong_numbers_of_classes_are_refused():
    with pytest.raises(ValueError, match="scores 3 classes, the data set has 4"):
        evaluate(np.zeros((1, 3)), [0], {"classes": CLASSES})
    metric = ZeroShotAccuracy()
    with pytest.raises(ValueError, match="VocabularyHook"):
        metric.process(None, [{"label": 0}])
