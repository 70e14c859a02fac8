"""Every setting of the score combiner against numpy."""

import numpy as np
import pytest
import torch

from react_mm.models.score_combiner import ScoreCombiner, combine

NAMES = ("cat", "dog", "cow", "bee")


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def by_numpy(detector, vlm, base, novel, base_names, kind, background):
    scores, other = softmax(detector.astype(np.float64)), softmax(vlm.astype(np.float64))
    rows = []
    for row, beside in zip(scores, other, strict=True):
        fused = []
        for name, d, v in zip(NAMES, row[:-1], beside, strict=True):
            w = base if name in base_names else novel
            fused.append(d ** (1 - w) * v**w if kind == "geometric" else (1 - w) * d + w * v)
        rest = row[-1] if background == "detector" else max(1 - sum(fused), 1e-10)
        total = np.array([*fused, rest])
        rows.append(total / total.sum())
    return np.array(rows)


@pytest.mark.parametrize("background", ["remainder", "detector"])
@pytest.mark.parametrize("kind", ["geometric", "arithmetic"])
@pytest.mark.parametrize(("base", "novel"), [(0.35, 0.65), (0.1, 0.8), (0.0, 1.0), (0.0, 0.0)])
def test_equals_numpy(base, novel, kind, background):
    rng = np.random.default_rng(0)
    detector, vlm = rng.normal(size=(50, 5)) * 3, rng.normal(size=(50, 4)) * 3
    combiner = ScoreCombiner(base, novel, kind, background)
    weights = combiner.weights(NAMES, ("cat", "cow"))
    assert weights.tolist() == pytest.approx([base, novel, base, novel])
    logs = combiner.log_probabilities(torch.tensor(detector), torch.tensor(vlm), weights)
    expected = by_numpy(detector, vlm, base, novel, ("cat", "cow"), kind, background)
    # mmdet's head applies softmax to what it gets.
    np.testing.assert_allclose(logs.softmax(-1).numpy(), expected, atol=1e-7)
    np.testing.assert_allclose(logs.exp().numpy(), expected, atol=1e-7)


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
        (dict(kind="harmonic"), "harmonic"),
        (dict(background="rest"), "rest"),
    ]:
        with pytest.raises(ValueError, match=named):
            ScoreCombiner(**wrong)
    with pytest.raises(ValueError, match="power"):
        combine(torch.rand(1), torch.rand(1), 0.5, "power")
