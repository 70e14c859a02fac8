"""RECO by tools/train.py: killed and resumed, it ends where the unbroken run ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from react_mm.checkpoints import load_delta
from tests.reco_memory import write_memory

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = [{base!r}]
custom_imports = dict(imports=['react_mm.registry', 'resume_toy'])
memory = {memory!r}
model = dict(fusion=dict(dim=16, heads=2, dropout=0.2))
train_dataloader = dict(batch_size=8, dataset=dict(pairs=memory))
train_cfg = dict(max_iters=12)
default_hooks = dict(checkpoint=dict(interval=4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=12, end=12, by_epoch=False)]
custom_hooks = [dict(type='LossLog'),
    dict(type='react_mm.ExportHook', filename='reco.safetensors')]
val_cfg, val_dataloader, val_evaluator = None, None, None
"""


def start(config, work_dir, *arguments, **environment):
    paths = [str(ROOT), str(ROOT / "tests")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tools" / "train.py"), str(config)]
    return subprocess.Popen(
        [*command, "--work-dir", str(work_dir), *arguments],
        env={**env, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.mark.slow
def test_killed_and_resumed_equals_unbroken(tmp_path):
    base = str(ROOT / "configs" / "reco" / "reco_toy-vit_toy.py")
    path = tmp_path / "reco.py"
    path.write_text(CONFIG.format(base=base, memory=write_memory(tmp_path)))
    finish(start(path, tmp_path / "whole"))
    broken = tmp_path / "broken"
    process = start(path, broken, REACT_MM_TEST_SLEEP="0.3")
    end = time.monotonic() + 300
    while (
        not (broken / "losses.txt").exists()
        or len((broken / "losses.txt").read_text().splitlines()) < 6
    ):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)  # between two checkpoints, so that steps are redone
    process.communicate()
    assert not (broken / "reco.safetensors").exists()
    assert "iter_" in finish(start(path, broken, "--resume"))
    lines = [
        {line.split()[0]: line for line in (tmp_path / d / "losses.txt").read_text().splitlines()}
        for d in ("whole", "broken")
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 12
    one, other = (load_delta(tmp_path / d / "reco.safetensors")[0] for d in ("whole", "broken"))
    assert all(torch.equal(one[key], other[key]) for key in one) and one.keys() == other.keys()
