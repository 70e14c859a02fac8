"""The command that writes the drawn world, and the config that trains its base."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from react_mm.engine.configuration import load_config
from react_mm.toy.pretrain import CONFIG

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments):
    command = [sys.executable, str(ROOT / "tools/make_toy_world.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_a_part_is_written(tmp_path):
    done = _run("--out", str(tmp_path), "--parts", "classification", "--seed", "3")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "world.json").read_text())
    assert card["seed"] == 3 and list(card["parts"]) == ["classification"]
    assert card["parts"]["classification"]["sha256"] in done.stdout
    assert len(list(tmp_path.glob("classification/*/*/*.png"))) == 2 * 48 * 25


@pytest.mark.parametrize("arguments", [("--parts", "mars"), ("--workers", "0")])
def test_what_cannot_be_done_is_said_in_one_line(arguments, tmp_path):
    done = _run("--out", str(tmp_path / "w"), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("make_toy_world.py:") and "Traceback" not in done.stderr


def test_the_pretraining_config_is_whole():
    config = load_config(ROOT / CONFIG)
    iterations = config.train_cfg.max_iters
    warmup, decay = config.param_scheduler
    assert decay.end == iterations and warmup.end < decay.begin
    (hook,) = config.custom_hooks
    assert hook.until == decay.begin  # the last part trains on whole images
    assert config.model.method == "full"
