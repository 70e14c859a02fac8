"""A process that dies at any moment of a save, a full disk, a flipped bit."""

import multiprocessing
import os
import resource
from pathlib import Path

import pytest
import torch
from mmengine.fileio.backends import LocalBackend

from react_mm.engine.resuming import find_newest_checkpoint
from react_mm.engine.safe_loading import UnsafeCheckpointError, safe_torch_load
from tests.test_engine.test_checkpoint_hook import names, runner

FORK = multiprocessing.get_context("fork")


def _train_and_die(folder: str, crash_at: int) -> None:
    """Trains with a save each second step; ends without clean-up at the n-th write to disk."""
    calls = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == crash_at:
                os._exit(9)
            return function(*arguments, **options)

        return call

    os.replace, os.fsync, os.unlink = map(counted, (os.replace, os.fsync, os.unlink))
    Path.unlink = counted(Path.unlink)
    LocalBackend.put = counted(_half_written(LocalBackend.put, counted(lambda: None)))
    runner(folder, max_keep_ckpts=1).train()
    os._exit(0)


def _half_written(put, checkpoint):
    """Writes the first half, then comes to a moment at which it may die, then writes all."""

    def call(self, content, path):
        Path(path).write_bytes(bytes(content)[: len(content) // 2])
        checkpoint()
        return put(self, content, path)

    return call


@pytest.mark.slow
def test_a_death_at_any_write_leaves_the_newest_loadable(tmp_path):
    newest, ended = [], None
    for crash_at in range(1, 60):
        folder = tmp_path / str(crash_at)
        process = FORK.Process(target=_train_and_die, args=(str(folder), crash_at))
        process.start()
        process.join(60)
        assert process.exitcode in (0, 9)
        found = find_newest_checkpoint(folder)
        newest.append(int(found.stem.removeprefix("iter_")) if found else 0)
        if process.exitcode == 0:
            ended = crash_at
            break
        if newest[-1]:  # and the pointer, if there is one, names a file that is there
            pointer = folder / "last_checkpoint"
            assert not pointer.is_file() or Path(pointer.read_text()).is_file()
    assert ended and ended > 15  # enough different moments
    assert newest == sorted(newest)  # a later death never leaves an older one
    assert newest[-1] == 6 and set(newest) == {0, 2, 4, 6}


def _train_on_a_full_disk(folder: str, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run = runner(folder, max_keep_ckpts=1)
    try:
        run.train()
    except (OSError, RuntimeError) as error:
        Path(folder, "error.txt").write_text(f"{type(error).__name__}: {error}"[: size // 2])
        os._exit(3)
    os._exit(0)


def test_a_full_disk_is_a_clean_error_and_leaves_nothing_half_valid(tmp_path):
    run = runner(tmp_path, iters=2, max_keep_ckpts=1)
    run.train()
    size = (tmp_path / "iter_2.pth").stat().st_size
    for limit in (size // 3, size - 1):
        folder = tmp_path / str(limit)
        process = FORK.Process(target=_train_on_a_full_disk, args=(str(folder), limit))
        process.start()
        process.join(60)
        assert process.exitcode == 3
        assert "Error" in (folder / "error.txt").read_text()
        assert names(folder) == [] and not list(folder.glob(".tmp-*"))
        assert find_newest_checkpoint(folder) is None


def test_a_flipped_bit_is_refused_by_name_and_the_older_one_is_taken(tmp_path):
    runner(tmp_path, iters=4).train()
    path = tmp_path / "iter_4.pth"
    weight = safe_torch_load(path)["state_dict"]["linear.weight"].numpy().tobytes()
    content, stamp = bytearray(path.read_bytes()), path.stat()
    content[bytes(content).index(weight) + 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert torch.load(path, weights_only=False)  # torch does not notice
    with pytest.raises(UnsafeCheckpointError, match=r"iter_4.pth.*checksum"):
        safe_torch_load(path)
    assert find_newest_checkpoint(tmp_path) == tmp_path / "iter_2.pth"
