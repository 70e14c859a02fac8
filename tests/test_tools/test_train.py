"""tools/train.py as a process: killed and resumed, it ends where the unbroken run ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.pair_shards import write_shard
from tests.resume_toy import CONFIG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "p-0.tar", 11)
    write_shard(folder / "p-1.tar", 8, first=11)
    write_shard(folder / "g-0.tar", 7, first=40)
    return folder


def write_config(folder, shards, **options):
    values = dict(pairs=3, general=2, workers=0, iters=20, interval=5, keep=1, shards=shards)
    path = folder / "toy.py"
    path.write_text(CONFIG.format(**{**values, **options}))
    return path


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
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    return output


def losses(work_dir):
    """Last line written for each iteration."""
    lines = (work_dir / "losses.txt").read_text().splitlines()
    return {line.split()[0]: line for line in lines if line.count(" ") == 2}


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_equals_unbroken(tmp_path, shards, workers):
    config = write_config(tmp_path, shards, workers=workers)
    finish(start(config, tmp_path / "whole"))
    broken = tmp_path / "broken"
    process = start(config, broken, REACT_MM_TEST_SLEEP="0.15")
    # between two checkpoints, so that steps are redone: after 12 of 20, the newest is 10
    wait_for(lambda: (broken / "losses.txt").exists() and "11" in losses(broken), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (broken / "iter_10.pth").is_file()
    output = finish(start(config, broken, "--resume"))
    assert "iter_10.pth" in output
    assert losses(broken) == losses(tmp_path / "whole")  # the same samples, the same losses
    assert len(losses(broken)) == 20
    one, other = (
        torch.load(d / "iter_20.pth", weights_only=False) for d in (tmp_path / "whole", broken)
    )
    for key, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][key]), key


@pytest.mark.slow
def test_a_second_run_on_the_same_folder_is_refused(tmp_path, shards):
    config = write_config(tmp_path, shards, iters=10_000)
    first = start(config, tmp_path / "w", REACT_MM_TEST_SLEEP="0.2")
    try:
        wait_for(lambda: (tmp_path / "w" / "losses.txt").exists(), first)
        output, _ = start(config, tmp_path / "w").communicate(timeout=120)
        assert f"another run (process {first.pid}) is writing" in output
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["optim_wrapper.optimizer.lrr=1"], "did you mean lr"),
        (["train_dataloader.dataset.sources.0.path=/nowhere"], "nothing at /nowhere"),
    ],
)
def test_wrong_options_end_before_training(tmp_path, shards, options, message):
    process = start(write_config(tmp_path, shards), tmp_path / "w", "--cfg-options", *options)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert message in output
    assert "iter_" not in str(list((tmp_path / "w").glob("*")))
