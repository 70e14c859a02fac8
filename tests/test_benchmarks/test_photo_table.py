"""Numbers of the photographs table, against hand-made hits."""

import numpy as np
import pytest

from react_mm.benchmarks.photo_evaluation import resampled, scores
from react_mm.benchmarks.photo_table import summarise, write_table

LABELS = np.array([0, 0, 0, 1])
OWNER = np.array([0, 0, 1, 1, 1, 2])


def hits(grocery, coco):
    return {
        "domain": np.array(grocery, bool),
        "coco": np.array(coco, bool),
        "coco_image": np.array([True, False, False]),
    }


BASE = hits([1, 0, 0, 0], [1, 1, 0, 0, 0, 0])
BETTER = hits([1, 1, 1, 0], [1, 1, 0, 0, 0, 1])


def test_scores_are_fractions_over_images_classes_and_captions():
    assert scores(BETTER, LABELS) == {
        "domain": 0.75,
        "domain_mean_class": 0.5,
        "coco_t2i": 0.5,
        "coco_i2t": pytest.approx(1 / 3),
    }


def test_bootstrap_resamples_images_with_all_their_captions():
    draws = resampled(BETTER, OWNER, draws=4000)
    assert draws["domain"].mean() == pytest.approx(0.75, abs=0.02)
    # of one image's captions all or none are drawn: 2 of 2, 0 of 3 or 1 of 1, three times
    expected = []
    for a in range(3):
        for b in range(3):
            for c in range(3):
                right, count = [2, 0, 1], [2, 3, 1]
                picks = (a, b, c)
                expected.append(sum(right[p] for p in picks) / sum(count[p] for p in picks))
    assert draws["coco_t2i"].mean() == pytest.approx(np.mean(expected), abs=0.02)
    assert set(np.round(draws["coco_t2i"], 6)) <= set(np.round(expected, 6))


def test_differences_from_the_base_are_paired_and_seeds_give_a_spread(tmp_path):
    arms = {"base": [BASE], "recommended": [BETTER, BASE, BETTER], "control": [BASE, BASE, BASE]}
    curve = [
        {"seed": s, "scale": scale, "domain": 0.5 + s, "coco_t2i": 0.1, "coco_i2t": 0.2}
        for s in (0, 1)
        for scale in (0.0, 1.0)
    ]
    result = summarise(arms, LABELS, OWNER, curve)
    recommended = result["arms"]["recommended"]
    assert recommended["mean"]["domain"] == pytest.approx((0.75 + 0.25 + 0.75) / 3)
    assert recommended["sd"]["domain"] == pytest.approx(np.std([0.75, 0.25, 0.75], ddof=1))
    assert result["arms"]["control"]["gain"]["domain"] == [0.0, 0.0]  # the same images are drawn
    assert recommended["gain"]["domain"][1] > 0
    assert result["arms"]["base"]["sd"]["domain"] is None
    assert result["gate_curve"][0]["domain"] == 1.0
    assert result["images"] == {"domain": 4, "coco": 3, "captions": 6}

    choices = {"gates": {"iterations": 300, "gate_scale": 0.75}}
    heads = [
        {"kind": "conse", "temperature": 3.0, "centred": True}
        | {"coco_t2i": 0.6, "coco_i2t": 0.5, "domain": 0.2}
    ]
    write_table(
        tmp_path / "t.md", {**result, "seeds": [0, 1, 2], "choices": choices, "base_heads": heads}
    )
    text = (tmp_path / "t.md").read_text()
    assert "| base | 25.0 (" in text and "| **recommended** | 58.3 ± 28.9 (" in text
    assert "| conse | 3 | yes | 60.0 | 50.0 | 20.0 |" in text
    assert "| 0 | 100.0 | 10.0 | 20.0 |" in text and "scale 0.75" in text
