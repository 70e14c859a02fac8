"""Bootstrap intervals against a closed form and a brute loop; statistics against brute force."""

import math

import numpy as np
import pytest

from react_mm.evaluation.bootstrap import interval, paired_difference
from react_mm.evaluation.outcomes import (
    Outcomes,
    average,
    hits_of,
    load_outcomes,
    save_outcomes,
)

RNG = np.random.default_rng(0)


def test_interval_has_the_width_of_the_normal_approximation():
    hits = RNG.random(2000) < 0.7
    got = interval(hits, draws=2000, seed=1)
    p = hits.mean()
    half = 1.959964 * math.sqrt(p * (1 - p) / len(hits))  # closed form of a proportion
    assert got.value == pytest.approx(p)
    assert got.low == pytest.approx(p - half, abs=0.1 * half)
    assert got.high == pytest.approx(p + half, abs=0.1 * half)
    assert got.excludes(p + 2 * half) and not got.excludes(p)


def test_interval_equals_a_brute_loop():
    hits = RNG.random(57)
    rng = np.random.default_rng(3)
    means = [hits[rng.integers(57, size=57)].mean() for _ in range(200)]
    got = interval(hits, draws=200, seed=3, level=0.9)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_captions_stay_with_their_image():
    owner = np.repeat(np.arange(30), RNG.integers(1, 6, 30))
    hits = RNG.random(len(owner)) < 0.5
    rng = np.random.default_rng(5)
    values = []
    for _ in range(100):
        rows = np.concatenate([np.flatnonzero(owner == i) for i in rng.integers(30, size=30)])
        values.append(hits[rows].mean())
    got = interval(hits, draws=100, seed=5, owner=owner)
    assert got.value == pytest.approx(hits.mean())
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    # captions of one image that are right or wrong together widen the interval
    clustered = interval(np.repeat(RNG.random(100) < 0.5, 5), owner=np.repeat(np.arange(100), 5))
    loose = interval(np.repeat(RNG.random(100) < 0.5, 5))
    assert clustered.high - clustered.low > 1.5 * (loose.high - loose.low)


def test_paired_difference_equals_a_brute_loop_and_is_narrower_than_an_unpaired_one():
    base = RNG.random(400) < 0.5
    better = base | (RNG.random(400) < 0.1)
    rng = np.random.default_rng(7)
    values = []
    for _ in range(300):
        rows = rng.integers(400, size=400)
        values.append(better[rows].mean() - base[rows].mean())
    got = paired_difference(better, base, draws=300, seed=7)
    assert got.value == pytest.approx(better.mean() - base.mean())
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert got.low > 0 and got.high - got.low < 0.08
    assert paired_difference(base, base).high == 0


def test_what_cannot_be_paired_or_drawn_is_refused():
    one = hits_of(["a", "b"], [1, 0])
    with pytest.raises(ValueError, match="not the same images.*'b' against 'c'"):
        paired_difference(one, hits_of(["a", "c"], [1, 0]))
    with pytest.raises(ValueError, match="expected \\(images,\\)"):
        interval([])
    with pytest.raises(ValueError, match="2 hits with 1 owners"):
        interval([1, 0], owner=np.array([0]))
    with pytest.raises(ValueError, match="unknown statistic"):
        Outcomes("mean", ("a",), {})
    with pytest.raises(ValueError, match="1 rows for 2 images"):
        Outcomes("ratio", ("a", "b"), {"hits": np.ones(1)})


def expanded(outcomes, weights):
    """The same outcomes with every image repeated as often as its weight says."""
    rows = np.repeat(np.arange(len(weights)), weights)
    arrays = {k: v[rows] for k, v in outcomes.arrays.items()}
    return Outcomes(outcomes.kind, tuple(outcomes.keys[i] for i in rows), arrays)


def brute_auc(score, label):
    pairs = [(a, b) for a in score[label == 1] for b in score[label == 0]]
    return np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])


def brute_eleven_points(scores, labels):
    """Everingham's definition, one class and one threshold at a time."""
    values = []
    for s, y in zip(scores.T, labels.T, strict=True):
        if not y.any():
            continue
        ranked = y[np.argsort(-s, kind="stable")]
        precision = np.cumsum(ranked) / (1 + np.arange(len(y)))
        recall = np.cumsum(ranked) / y.sum()
        best = [max(precision[recall >= t - 1e-9]) for t in np.arange(11) / 10]
        values.append(np.mean(best))
    return np.mean(values)


def test_statistics_equal_brute_force_and_weights_equal_repetition():
    n = 40
    keys = tuple(map(str, range(n)))
    label = RNG.integers(0, 2, n)
    score = RNG.integers(0, 8, n) / 8  # many ties
    area = Outcomes("roc_auc", keys, {"score": score, "label": label})
    assert area.value() == pytest.approx(brute_auc(score, label))
    labels = RNG.random((n, 5)) < 0.3
    labels[:, 4] = False  # a class without images is left out
    scores = RNG.random((n, 5))
    precision = Outcomes("eleven_point_map", keys, {"scores": scores, "labels": labels})
    assert precision.value() == pytest.approx(brute_eleven_points(scores, labels))
    classes = RNG.integers(0, 6, n)
    hits = RNG.random(n) < 0.5
    means = Outcomes("class_mean", keys, {"hits": hits, "label": classes})
    assert means.value() == pytest.approx(
        np.mean([hits[classes == c].mean() for c in np.unique(classes)])
    )
    weights = RNG.integers(0, 4, n)
    for outcomes in (area, precision, means, hits_of(keys, hits, RNG.integers(1, 5, n))):
        assert outcomes.value(weights) == pytest.approx(expanded(outcomes, weights).value())


def test_average_over_seeds():
    runs = [hits_of(["a", "b"], [1, 0]), hits_of(["a", "b"], [1, 1])]
    assert average(runs).value() == pytest.approx(0.75)
    area = Outcomes("roc_auc", ("a", "b"), {"score": np.ones(2), "label": np.array([0, 1])})
    assert average([area, area]) is None
    with pytest.raises(ValueError, match="same images"):
        average([runs[0], hits_of(["a", "c"], [1, 1])])


def test_outcomes_on_disk(tmp_path):
    path = tmp_path / "o.npz"
    stored = {
        "top1": hits_of(["x/ä.jpg", "y"], [1, 0]),
        "roc_auc": Outcomes("roc_auc", ("p", "q"), {"score": np.ones(2), "label": np.eye(2)[0]}),
    }
    save_outcomes(path, stored)
    read = load_outcomes(path)
    assert list(read) == ["top1", "roc_auc"]
    assert read["top1"].keys == ("x/ä.jpg", "y")
    assert all(read[k].value() == stored[k].value() for k in stored)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="holds no outcomes"):
        load_outcomes(path)
    with pytest.raises(FileNotFoundError, match="run the comparison"):
        load_outcomes(tmp_path / "none.npz")
