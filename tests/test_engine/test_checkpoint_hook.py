# ruff: noqa: NPY002 (timm and torchvision draw from the global generators)
import os
import random
import shutil
import signal
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from react_mm.engine import checkpoint_hook
from react_mm.engine.checkpoint_hook import SafeCheckpointHook, restore_rng, rng_state
from react_mm.engine.resuming import find_newest_checkpoint
from tests.test_tools.test_train import shards, start, wait_for, write_config  # noqa: F401


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode="loss"):
        return {"loss": self.linear(inputs).square().mean()}


def runner(work_dir, iters=6, interval=2, **hook):
    options = dict(type="react_mm.SafeCheckpointHook", interval=interval, by_epoch=False, **hook)
    return Runner(
        Toy(),
        str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            dataset=[{"inputs": torch.ones(2)}] * 8,
            sampler=dict(type="InfiniteSampler"),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iters),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        default_hooks=dict(checkpoint=options),
        experiment_name=uuid.uuid4().hex,  # mmengine keeps a message hub per name
    )


def names(work_dir):
    return sorted(p.name for p in Path(work_dir).glob("*.pth"))


def hook_of(run):
    return next(h for h in run.hooks if isinstance(h, SafeCheckpointHook))


def test_old_ones_go_only_after_the_new_one_is_named(tmp_path, monkeypatch):
    events = []
    replace, unlink = os.replace, Path.unlink

    def log_replace(a, b):
        events.append(("replace", Path(b).name))
        return replace(a, b)

    def log_unlink(path, **kwargs):
        events.append(("delete", path.name))
        return unlink(path, **kwargs)

    run = runner(tmp_path, max_keep_ckpts=1)
    monkeypatch.setattr(os, "replace", log_replace)
    monkeypatch.setattr(Path, "unlink", log_unlink)
    run.train()
    assert events == [
        ("replace", "iter_2.pth"),
        ("replace", "last_checkpoint"),
        ("replace", "iter_4.pth"),
        ("replace", "last_checkpoint"),
        ("delete", "iter_2.pth"),
        ("replace", "iter_6.pth"),
        ("replace", "last_checkpoint"),
        ("delete", "iter_4.pth"),
    ]
    assert names(tmp_path) == ["iter_6.pth"]
    assert find_newest_checkpoint(tmp_path) == tmp_path / "iter_6.pth"


def test_a_prune_that_was_prevented_is_made_up_for(tmp_path, monkeypatch):
    run = runner(tmp_path, max_keep_ckpts=1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.train()
    assert names(tmp_path) == ["iter_2.pth", "iter_4.pth"]
    again = runner(tmp_path, iters=5, interval=100, max_keep_ckpts=1, save_last=False)
    again._resume, again._load_from = True, str(find_newest_checkpoint(tmp_path))
    again.train()
    assert again.iter == 5
    assert names(tmp_path) == ["iter_4.pth"]


@pytest.mark.parametrize("fault", ["truncated", "other values", "no space"])
def test_a_failed_save_leaves_the_older_one(tmp_path, monkeypatch, fault):
    run = runner(tmp_path, max_keep_ckpts=1)
    original = Runner.save_checkpoint

    def failing(self, out_dir, filename, *args, **kwargs):
        if "iter_4" in filename and fault == "no space":
            Path(out_dir, filename).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        original(self, out_dir, filename, *args, **kwargs)
        if "iter_4" in filename:
            path = Path(out_dir, filename)
            if fault == "truncated":
                path.write_bytes(path.read_bytes()[:-100])
            else:
                content = torch.load(path, weights_only=False)
                content["state_dict"]["linear.weight"] += 1e-3
                torch.save(content, path)

    monkeypatch.setattr(Runner, "save_checkpoint", failing)
    with pytest.raises(OSError, match="No space|read back|differs"):
        run.train()
    assert names(tmp_path) == ["iter_2.pth"]
    assert find_newest_checkpoint(tmp_path) == tmp_path / "iter_2.pth"
    assert not list(tmp_path.glob(".tmp-*"))


def test_newest_loadable_is_found_whatever_the_pointer_says(tmp_path):
    run = runner(tmp_path)
    run.train()
    assert names(tmp_path) == ["iter_2.pth", "iter_4.pth", "iter_6.pth"]
    (tmp_path / "last_checkpoint").write_text(
        str(tmp_path / "iter_4.pth")
    )  # killed before pointing
    assert find_newest_checkpoint(tmp_path).name == "iter_6.pth"
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in [*tmp_path.glob("*.pth"), tmp_path / "last_checkpoint"]:
        shutil.copy2(path, moved)
    content = (moved / "iter_6.pth").read_bytes()
    stamp = (moved / "iter_6.pth").stat()
    (moved / "iter_6.pth").write_bytes(content[:-50])
    os.utime(moved / "iter_6.pth", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert find_newest_checkpoint(moved) == moved / "iter_4.pth"
    assert find_newest_checkpoint(tmp_path / "none") is None


def test_best_is_deleted_after_its_successor_is_written(tmp_path, monkeypatch):
    for fails in (False, True):
        folder = tmp_path / str(fails)
        run = runner(folder, interval=-1, save_last=False, save_best="acc", rule="greater")
        hook = hook_of(run)
        run._train_loop = run.build_train_loop(run._train_loop)
        run.optim_wrapper = run.build_optim_wrapper(run.optim_wrapper)
        hook.before_train(run)
        hook.after_val_epoch(run, {"acc": 0.3})
        assert names(folder) == ["best_acc_iter_0.pth"]
        run.train_loop._iter = 5
        if fails:
            monkeypatch.setattr(
                checkpoint_hook, "verify", lambda *a: (_ for _ in ()).throw(OSError("full"))
            )
            with pytest.raises(OSError, match="full"):
                hook.after_val_epoch(run, {"acc": 0.5})
            assert names(folder) == ["best_acc_iter_0.pth"]
        else:
            hook.after_val_epoch(run, {"acc": 0.5})
            assert names(folder) == ["best_acc_iter_5.pth"]
            hook.after_val_epoch(run, {"acc": 0.1})
            assert names(folder) == ["best_acc_iter_5.pth"]


def test_random_states_survive_a_file(tmp_path):
    def draw():
        return random.gauss(0, 1), np.random.randn(), torch.randn(2).tolist()

    random.gauss(0, 1)  # leaves a cached second value
    torch.save(rng_state(), tmp_path / "s.pt")
    expected = draw(), draw()
    restore_rng(torch.load(tmp_path / "s.pt", weights_only=True))
    assert (draw(), draw()) == expected


@pytest.mark.slow
def test_killed_at_random_moments_something_loadable_is_left(tmp_path, shards):  # noqa: F811
    """A run that saves all the time (30 MB a save, one kept) is killed again and again."""
    config = write_config(tmp_path, shards, iters=100_000, interval=1)
    work_dir, generator = tmp_path / "run", random.Random(0)
    newest, during_save = 0, 0
    for _ in range(6):
        process = start(config, work_dir, "--resume", REACT_MM_TEST_PADDING="30")
        wait_for(lambda seen=newest: _last(work_dir) > seen + 1, process)
        time.sleep(generator.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
        during_save += bool(list(work_dir.glob(".tmp-*")))
        found = find_newest_checkpoint(work_dir)
        assert found is not None
        pointer = Path((work_dir / "last_checkpoint").read_text())
        assert pointer.is_file()
        step = int(found.stem.removeprefix("iter_"))
        assert step >= int(pointer.stem.removeprefix("iter_")) > newest
        assert step >= _last(work_dir)  # at most the step in flight is lost
        newest = step
    assert during_save  # else the kills hit nothing


def _last(work_dir):
    path = work_dir / "losses.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return int(lines[-1].split()[0]) if lines else 0


def test_a_best_one_is_saved_at_a_step_that_is_saved_anyway(tmp_path):
    run = runner(tmp_path, interval=2, save_best="acc", rule="greater", max_keep_ckpts=1)
    hook = hook_of(run)
    run._train_loop = run.build_train_loop(run._train_loop)
    run.optim_wrapper = run.build_optim_wrapper(run.optim_wrapper)
    hook.before_train(run)
    run.train_loop._iter = 1
    hook.after_train_iter(run, 1)
    run.train_loop._iter = 2
    hook.after_val_epoch(run, {"acc": 0.3})
    assert names(tmp_path) == ["best_acc_iter_2.pth", "iter_2.pth"]
    assert find_newest_checkpoint(tmp_path).name == "iter_2.pth"
    run.save_checkpoint  # noqa: B018 (the runner's own again)
    assert "save_checkpoint" not in vars(run)
