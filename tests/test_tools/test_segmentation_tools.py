"""tools/diagnose_dense.py as a command, and what the segmentation tools say of wrong input."""

import json
import subprocess
import sys

import numpy as np
from PIL import Image

from tests.inference_toys import SEGMENTOR


def run(repository, *command):
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=repository, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_diagnosis_from_a_config(tmp_path, repository):
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    command = ["tools/diagnose_dense.py", SEGMENTOR, tmp_path / "images", "--out"]
    code, out, err = run(repository, *command, tmp_path / "out", "--size", 64, "--device", "cpu")
    assert code == 0, err
    assert f"written: {tmp_path / 'out'}" in out
    report = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert report["images"] == 1
    assert (tmp_path / "out" / "layers.png").stat().st_size > 0


def test_wrong_input_is_one_line(tmp_path, repository):
    tool = "tools/convert_coco_object.py"
    code, _, err = run(repository, tool, tmp_path / "no.json", tmp_path / "maps")
    assert code == 1
    assert "convert_coco_object: annotation file" in err
    assert "Traceback" not in err
