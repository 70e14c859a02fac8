"""The goal of the customization table and its files, on numbers made by hand."""

import json

import pytest

from react_mm.benchmarks.matrix_table import frontier_rows, goal, markdown, write_results


def arm(domain, coco, change=(0.0, 0.0), sd=None):
    keys = ("domain", "domain_mean_class", "coco_t2i", "coco_i2t")
    mean = dict(zip(keys, (domain, domain, coco, coco), strict=True))
    return {
        "seeds": [mean],
        "mean": mean,
        "sd": dict.fromkeys(keys, sd),
        "interval": {"domain": [domain - 0.02, domain + 0.02], "coco_t2i": [coco, coco]},
        "gain": {"domain": [0, 0], "coco_t2i": list(change)},
    }


ARMS = {
    "base": arm(0.20, 0.57),
    "plain @ 1": arm(0.60, 0.53, (-0.07, -0.01)),
    "teacher @ 0.75": arm(0.57, 0.565, (-0.03, 0.02), sd=0.01),
    "linear head": arm(0.40, 0.52, (-0.08, -0.02)),
}


def test_goal_needs_the_gain_the_mean_and_the_interval():
    found = goal(ARMS, 0.75)
    assert found["kept"] == pytest.approx(0.37 / 0.40)
    assert found["loss"] == pytest.approx(0.005)
    assert found["interval"] == pytest.approx([-0.02, 0.03]) and found["met"]
    for worse in (
        arm(0.55, 0.565, (-0.03, 0.02)),  # 87.5 % of the gain
        arm(0.57, 0.555, (-0.03, 0.02)),  # 1.5 points lost
        arm(0.57, 0.565, (-0.05, 0.02)),  # 5 points are not excluded
    ):
        assert not goal({**ARMS, "teacher @ 0.75": worse}, 0.75)["met"]
    assert goal(ARMS, 1.0) is None
    useless = goal({**ARMS, "plain @ 1": arm(0.19, 0.53)}, 0.75)
    assert useless["kept"] is None and not useless["met"]


def results():
    curve = [
        {"row": "teacher", "seed": s, "scale": x, "domain": x / 2 + s / 10, "coco_t2i": 0.5}
        for s in (0, 1)
        for x in (0.0, 1.0)
    ]
    return {
        "domain": "grocery",
        "struck": False,
        "retrieved": {"pairs": 12},
        "choices": {"iterations": 150, "scales": {"teacher": {"scale": 0.75}}},
        "seeds": [0, 1],
        "arms": ARMS,
        "curve": curve,
        "images": {"domain": 10, "coco": 5, "captions": 25},
        "dense": {"base @ 0": {"gt_box": [0.184], "miou": [0.05]}},
        "seconds": {"teacher 150i seed 0": 60.0, "teacher 150i seed 1": 70.0},
        "cpu_seconds": {"teacher 150i seed 0": 50.0, "teacher 150i seed 1": 60.0},
    }


def test_frontier_has_every_scale_and_the_heads():
    rows = frontier_rows(results())
    assert [r["scale"] for r in rows] == [0.0, 1.0, None, None]
    assert rows[1]["domain"] == pytest.approx(0.55) and rows[1]["general"] == 0.5
    assert {r["model"] for r in rows[2:]} == {"base", "linear head"}


def test_files_are_written(tmp_path):
    write_results(tmp_path, results())
    text = (tmp_path / "results.md").read_text()
    assert "| gated-image + teacher | 0.75 (chosen) | 57.0 ± 1.0 (55.0 to 59.0) |" in text
    assert "-3.0 to +2.0 | 55 |" in text and "| base |  | 20.0" in text
    assert "| base | 18.4 | 5.0 |" in text
    order = [text.index(f"| {t} |") for t in ("base", "linear head", "gated-image, plain")]
    assert order == sorted(order)
    assert "Goal met: the teacher keeps 92 %" in text
    assert json.loads((tmp_path / "results.json").read_text())["goal"]["met"]
    assert (tmp_path / "frontier.svg").stat().st_size > 1000
    struck = markdown({**results(), "struck": True, "dense": {}, "goal": None})
    assert "struck out" in struck and "mIoU" not in struck
