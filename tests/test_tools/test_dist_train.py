"""tools/dist_train.sh: two processes on the CPU train like one with their batches together."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_tools.test_train import finish, losses, shards, start, write_config  # noqa: F401

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def train_with_two(config, work_dir, *arguments):
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "PYTHON": sys.executable,
        "MASTER_PORT": free_port(),
        "OMP_NUM_THREADS": "1",
        "REACT_MM_TEST_DROPOUT": "0",
    }
    command = ["bash", str(ROOT / "tools" / "dist_train.sh"), str(config), "2"]
    done = subprocess.run(
        [*command, "--work-dir", str(work_dir), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_processes_train_like_one_and_resume(tmp_path, shards):  # noqa: F811
    config = write_config(tmp_path, shards, pairs=2, general=1, iters=10, interval=5)
    together = tmp_path / "two"
    short = ["--cfg-options", "train_cfg.max_iters=5"]
    train_with_two(config, together, *short)
    output = train_with_two(config, together, "--resume")
    assert "iter_5.pth" in output
    (tmp_path / "one").mkdir()
    single = write_config(tmp_path / "one", shards, pairs=4, general=2, iters=10, interval=5)
    finish(start(single, tmp_path / "one", REACT_MM_TEST_DROPOUT="0"))
    ours = losses(together)
    theirs = {line.split()[0]: line for line in (together / "losses1.txt").read_text().splitlines()}
    for step, line in losses(tmp_path / "one").items():
        keys = sorted(line.split()[2].split(","))
        assert sorted((ours[step].split()[2] + "," + theirs[step].split()[2]).split(",")) == keys
        mean = (float(ours[step].split()[1]) + float(theirs[step].split()[1])) / 2
        assert mean == pytest.approx(float(line.split()[1]), abs=1e-5)
    one, two = (
        torch.load(d / "iter_10.pth", weights_only=False)["state_dict"]
        for d in (tmp_path / "one", together)
    )
    for key, value in one.items():
        assert torch.allclose(value, two[key], atol=1e-5), key
