"""A demo's results and artefacts without a demo: planted numbers and drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

NAMES = ["snail", "ladybird", "kite", "anchor"]
VALUES = {
    "before": (0.21, 0.83, 0.24, 0.79, 0.05, 0.31, 0.02, 0.44),
    "after": (0.72, 0.82, 0.66, 0.80, 0.29, 0.33, 0.19, 0.45),
    "plain": (0.74, 0.71, 0.65, 0.70, 0.27, 0.26, 0.18, 0.40),
    "control": (0.24, 0.83, 0.25, 0.80, 0.06, 0.31, 0.03, 0.44),
}
KEYS = (
    ("zero_shot", "target"),
    ("zero_shot", "other"),
    ("gt_box", "target"),
    ("gt_box", "other"),
    ("miou", "target"),
    ("miou", "other"),
    ("ap50", "novel"),
    ("ap50", "base"),
)


def fake_results() -> dict:
    """Results with every key that a demo writes."""
    results: dict = {}
    for arm, values in VALUES.items():
        results[arm] = {}
        for (group, key), value in zip(KEYS, values, strict=True):
            results[arm].setdefault(group, {})[key] = value
    scales = np.linspace(0, 1, 5)
    results["gate_curve"] = [
        {"scale": float(s), "target": 0.2 + 0.55 * s**0.5, "other": 0.83 - 0.05 * s**2}
        for s in scales
    ]
    results["seconds"] = {"world": 12.5, "embed": 20.0, "customize after": 61.2, "detection": 90.1}
    results["retrieved"] = {"precision": 0.91, "pairs": 312}
    results["trainable_parameters"] = 1234567
    results["settings"] = {"gate_scale": 0.75, "epochs": 4, "teacher_weight": 1.0}
    results["provenance"] = {"world": "ab12", "base": "cd34", "torch": "2.14.1"}
    return results


def write_fake_run(folder: Path) -> Path:
    """Writes ``results.json`` and ``artefacts.json`` with their pictures; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(8):
        base = rng.integers(90, 230, (96, 96, 3), dtype=np.uint8)
        picture = Image.fromarray(base).resize((12, 12)).resize((96, 96), Image.Resampling.BICUBIC)
        labels = Image.new("L", (96, 96), 0)
        for place in range(2):
            box = (10 + 42 * place, 20, 44 + 42 * place, 70)
            colour = tuple(int(v) for v in rng.integers(0, 255, 3))
            ImageDraw.Draw(picture).ellipse(box, fill=colour)
            ImageDraw.Draw(labels).ellipse(box, fill=1 + (index + place) % len(NAMES))
        picture.save(folder / f"picture-{index}.png")
        labels.save(folder / f"labels-{index}.png")

    def boxes(shift: int) -> list[dict]:
        right = shift == 0
        first = {"box": [10, 20, 44, 70], "name": NAMES[shift], "score": 0.81, "right": right}
        return [first, {"box": [52, 20, 86, 70], "name": NAMES[1], "score": 0.6, "right": True}]

    items = [
        {
            "image": f"picture-{i}.png",
            "caption": "a small snail on a <leaf> & some grass",
            "score": 0.31 - 0.01 * i,
            "mode": "T2I",
            "right": i != 6,
        }
        for i in range(8)
    ]
    artefacts = {
        "names": NAMES,
        "gallery": [{"concept": name, "found": 80, "items": items} for name in NAMES[:2]],
        "detections": [
            {
                "image": f"picture-{i}.png",
                "truth": [{"box": [10, 20, 44, 70], "name": NAMES[0]}],
                "before": boxes(1),
                "after": boxes(0),
            }
            for i in range(3)
        ],
        "masks": [
            {
                "image": f"picture-{i}.png",
                "truth": f"labels-{i}.png",
                "before": f"labels-{(i + 1) % 8}.png",
                "after": f"labels-{i}.png",
            }
            for i in range(3)
        ],
    }
    (folder / "artefacts.json").write_text(json.dumps(artefacts))
    (folder / "results.json").write_text(json.dumps(fake_results()))
    return folder
