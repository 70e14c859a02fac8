"""Every setting of the score combiner against numpy."""

import itertools

import numpy as np
import pytest
import torch

from react_mm.models.score_combiner import PUBLISHED, ScoreCombiner, combine

NAMES = ("cat", "dog", "cow", "bee")
BASE = ("cat", "cow")


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def fuse(d, v, w, kind):
    return d ** (1 - w) * v**w if kind == "geometric" else (1 - w) * d + w * v


def by_numpy(detector, vlm, weights, kind, background, activation):
    """Row by row and class by class, in float64."""
    other = softmax(vlm)
    if activation == "sigmoid":
        own = sigmoid(detector)
        return np.array(
            [
                [fuse(d, v, w, kind) for d, v, w in zip(row, beside, weights, strict=True)]
                for row, beside in zip(own, other, strict=True)
            ]
        )
    rows = []
    for row, beside in zip(softmax(detector), other, strict=True):
        fused = [fuse(d, v, w, kind) for d, v, w in zip(row[:-1], beside, weights, strict=True)]
        rest = row[-1] if background == "detector" else max(1 - sum(fused), 1e-10)
        total = np.array([*fused, rest])
        rows.append(total / total.sum())
    return np.array(rows)


SETTINGS = list(
    itertools.product(
        ["geometric", "arithmetic"],
        ["remainder", "detector"],
        ["softmax", "sigmoid"],
        [None, {"dog": 0.9, "cow": 0.0}],
        [(0.35, 0.65), (0.1, 0.8), (0.1, 0.4), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0)],
    )
)


@pytest.mark.parametrize(("kind", "background", "activation", "per_class", "pair"), SETTINGS)
def test_equals_numpy(kind, background, activation, per_class, pair):
    rng = np.random.default_rng(0)
    columns = 4 if activation == "sigmoid" else 5
    # Half of the rows are as sure as cosines at temperature .01: scores below 1e-38.
    detector, vlm = rng.normal(size=(50, columns)) * 3, rng.normal(size=(50, 4)) * 3
    detector[25:], vlm[25:] = detector[25:] * 10, vlm[25:] * 15
    combiner = ScoreCombiner(*pair, kind, background, activation, per_class)
    weights = combiner.weights(NAMES, BASE)
    base, novel = pair
    single = per_class or {}
    expected_weights = [single.get(name, base if name in BASE else novel) for name in NAMES]
    assert weights.tolist() == pytest.approx(expected_weights)
    expected = by_numpy(detector, vlm, expected_weights, kind, background, activation)
    inputs = torch.tensor(detector).float(), torch.tensor(vlm).float(), weights
    found = combiner.probabilities(*inputs).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=1e-4)
    if activation == "softmax":
        # mmdet's head applies softmax to what it gets.
        logs = combiner.log_probabilities(*inputs)
        np.testing.assert_allclose(logs.softmax(-1).numpy(), expected, atol=1e-6)


def test_published_settings():
    """As facts D1b, D2 and D3 state them, each a valid setting."""
    numbers = {n: (c["base"], c["novel"], c.get("background")) for n, c in PUBLISHED.items()}
    assert numbers == {
        "f-vlm": (0.35, 0.65, "detector"),
        "f-vit_ov-coco": (0.1, 0.8, None),
        "f-vit-b_ov-lvis": (0.1, 0.6, None),
        "f-vit-l_ov-lvis": (0.1, 0.4, None),
        "fc-clip": (0.4, 0.8, None),
        "freeda": (0.2, 0.2, None),
    }
    for name, settings in PUBLISHED.items():
        kind = "arithmetic" if name == "freeda" else "geometric"
        assert ScoreCombiner(**settings).kind == kind
    # Without a list of base classes F-VLM takes .65 for all.
    assert ScoreCombiner(**PUBLISHED["f-vlm"]).weights(NAMES, ()).unique().tolist() == [
        pytest.approx(0.65)
    ]


def test_fused_scores_survive_the_second_softmax():
    """With one weight the sum is at most 1, and the scores are the fused ones themselves."""
    torch.manual_seed(0)
    detector, vlm = torch.randn(20, 5), torch.randn(20, 4)
    combiner = ScoreCombiner(0.4, 0.4)
    logs = combiner.log_probabilities(detector, vlm, combiner.weights(NAMES, ()))
    fused = detector.softmax(-1)[:, :-1] ** 0.6 * vlm.softmax(-1) ** 0.4
    torch.testing.assert_close(logs.softmax(-1)[:, :-1], fused)


def test_sum_above_one_is_clamped_and_scaled():
    """Different exponents: a sure base class and a sure novel class can sum to more than 1."""
    detector = torch.tensor([[12.0, -20.0, -20.0, -20.0, -20.0]])  # sure of the base class
    vlm = torch.tensor([[-20.0, 12.0, -20.0, -20.0]])  # sure of the novel one
    combiner = ScoreCombiner(base=0.0, novel=1.0)
    logs = combiner.log_probabilities(detector, vlm, combiner.weights(NAMES, ("cat",)))
    assert torch.isfinite(logs).all()
    torch.testing.assert_close(
        logs.exp(), torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.0]]), atol=1e-4, rtol=0
    )


def test_each_arm_alone():
    first, second = torch.rand(3, 4), torch.rand(3, 4)
    for kind in ("geometric", "arithmetic"):
        torch.testing.assert_close(combine(first, second, 0.0, kind), first)
        torch.testing.assert_close(combine(first, second, 1.0, kind), second)


def test_wrong_settings_are_refused():
    for wrong, named in [
        (dict(base=1.2), "base must lie"),
        (dict(novel=-0.1), "novel must lie"),
        (dict(per_class={"cat": 2.0}), "per_class 'cat' must lie"),
        (dict(kind="harmonic"), "harmonic"),
        (dict(background="rest"), "rest"),
        (dict(activation="tanh"), "tanh"),
    ]:
        with pytest.raises(ValueError, match=named):
            ScoreCombiner(**wrong)
    with pytest.raises(ValueError, match="power"):
        combine(torch.rand(1), torch.rand(1), 0.5, "power")
    with pytest.raises(ValueError, match=r"per_class names \['catt'\].*did you mean cat"):
        ScoreCombiner(per_class={"catt": 0.5}).weights(NAMES, BASE)
