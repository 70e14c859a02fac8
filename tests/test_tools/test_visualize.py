"""tools/visualize.py as a command, and its body on one and two arms."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from react_mm.apis import Inferencer
from react_mm.apis.visualization import draw, visualize
from tests.inference_toys import (
    CLASSIFIER,
    DETECTOR,
    EVERY_BOX,
    NAMES,
    SEGMENTOR,
    detector_checkpoint,
    picture,
    write_folder,
    write_gated_delta,
)


def test_command_before_and_after(tmp_path, repository):
    write_folder(tmp_path / "images")
    (tmp_path / "images" / "bad.png").write_bytes(b"no picture")
    delta = write_gated_delta(tmp_path / "customized.safetensors")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    command = [sys.executable, "tools/visualize.py", tmp_path / "images", SEGMENTOR]
    command += ["--vocabulary", tmp_path / "names.txt", "--out", tmp_path / "out"]
    command += ["--before", "none", "--after", delta]
    done = subprocess.run(
        list(map(str, command)), cwd=repository, capture_output=True, text=True, check=True
    )
    assert "before: 4 images, 3 written, 0 kept, 1 rejected" in done.stdout
    assert "3 pictures" in done.stdout
    for name, (width, height) in (("0", (72, 56)), ("2", (90, 41)), ("sub/1", (64, 64))):
        drawn = Image.open(tmp_path / "out" / "drawn" / f"{name}.png.png")
        one = 480 * width // max(width, height)
        assert drawn.width == 2 * one + 36
        left, right = np.asarray(drawn)[30:, 12 : 12 + one], np.asarray(drawn)[30:, 24 + one :]
        assert (left != right[:, :one]).any()
        assert height  # both arms have their own results
    for arm in ("before", "after"):
        ledger = json.loads((tmp_path / "out" / arm / "rejected.json").read_text())
        assert [entry["image"] for entry in ledger] == ["bad.png"]
    wrong = subprocess.run(
        [*map(str, command[:4]), "--out", str(tmp_path / "o"), "--delta", "nowhere.safetensors"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1
    assert wrong.stderr.strip().endswith("nowhere.safetensors does not exist")


def test_one_arm_of_a_detector(tmp_path):
    write_folder(tmp_path / "images")
    weights = detector_checkpoint(tmp_path / "iter_1.pth")
    arms = {"": lambda: Inferencer(DETECTOR, weights, NAMES, options=EVERY_BOX)}
    counts = visualize(tmp_path / "images", tmp_path / "out", arms, 0.0, progress=False)
    assert counts["drawn"] == 3
    stored = json.loads((tmp_path / "out" / "results" / "0.png.json").read_text())
    assert stored["objects"]
    drawn = Image.open(tmp_path / "out" / "drawn" / "0.png.png").convert("RGB")
    expected = draw(picture(72, 56, 0), stored, NAMES, tmp_path / "out", 0.0)
    assert np.array_equal(np.asarray(drawn), np.asarray(expected))
    nothing = draw(picture(72, 56, 0), stored, NAMES, None, 1.0)
    assert not np.array_equal(np.asarray(nothing), np.asarray(expected))


def test_one_image_of_a_classifier(tmp_path):
    picture().save(tmp_path / "a.png")
    arms = {"": lambda: Inferencer(CLASSIFIER, vocabulary=NAMES)}
    visualize(tmp_path / "a.png", tmp_path / "out", arms, progress=False)
    assert Image.open(tmp_path / "out" / "drawn" / "a.png.png").height > 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.jpg", "c.py", "--out", "o", "--before", "none"], "belong together"),
        (["a.jpg", "c.py", "--out", "o", "--before-checkpoint", "x"], "belongs to"),
        (
            ["a.jpg", "c.py", "--out", "o", "--before", "none", "--after", "d", "--delta", "e"],
            "one model",
        ),
        (["a.jpg", "c.py", "--out", "o", "--names", "a", "--vocabulary", "b"], "not allowed"),
    ],
)
def test_arguments_that_exclude_each_other(arguments, words, repository):
    command = [sys.executable, "tools/visualize.py", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 2
    assert words in done.stderr
