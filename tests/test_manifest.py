import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from react_mm.manifest import (
    Manifest,
    ManifestError,
    RunLock,
    atomic_path,
    differences,
    read_json,
    remove_leftovers,
    sha256_file,
    write_json,
)


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyError), atomic_path(target) as temporary:
        temporary.write_text("half")
        assert temporary.parent == target.parent and temporary.suffix == ".txt"
        raise KeyError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_path_replaces_and_makes_folders(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "ä b.txt"
    for text in ("one", "two"):
        with atomic_path(target) as temporary:
            temporary.write_text(text)
            assert not target.exists() or target.read_text() != text
    assert target.read_text() == "two"
    assert os.listdir(target.parent) == ["ä b.txt"]


def test_atomic_path_refuses_a_block_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic_path(tmp_path / "x"):
        pass
    assert not (tmp_path / "x").exists()


def test_a_full_disk_leaves_nothing_half_valid(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from react_mm.manifest import atomic_path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with atomic_path(sys.argv[1]) as t:\n"
        "    t.write_bytes(b'x' * 5000)\n"
    )
    target = tmp_path / "big.bin"
    target.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", code, target], capture_output=True, text=True)
    assert done.returncode != 0 and "File too large" in done.stderr
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["big.bin"]


def test_write_json_is_stable_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1, "ü"]})
    write_json(tmp_path / "b.json", {"a": [1, "ü"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1, "ü"], "b": 1}
    with pytest.raises(ValueError, match="[Oo]ut of range float"):
        write_json(tmp_path / "c.json", {"a": float("nan")})
    assert not (tmp_path / "c.json").exists()


def test_read_json_names_the_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"a": ')
    with pytest.raises(ManifestError, match="bad.json is not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_sha256_file(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_differences_names_the_leaf() -> None:
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 3}
    assert differences(old, new) == ["a.c: 2 -> 5", "d: 3 -> (absent)", "e: (absent) -> 3"]
    assert differences(old, json.loads(json.dumps(old))) == []


def test_second_lock_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    with (
        RunLock(tmp_path),
        pytest.raises(ManifestError, match=f"process {os.getpid()}"),
        RunLock(tmp_path),
    ):
        pass
    with RunLock(tmp_path):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom react_mm.manifest import RunLock\n"
        "with RunLock(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(ManifestError, match=f"process {process.pid}"), RunLock(tmp_path):
        pass
    process.kill()
    process.wait()
    time.sleep(0.05)
    with RunLock(tmp_path):
        pass


def test_remove_leftovers_takes_only_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".tmp-12-a.npy").write_text("half")
    (tmp_path / "deep" / "tmp-a.npy").write_text("whole")
    assert remove_leftovers(tmp_path) == 1
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["tmp-a.npy"]


def _manifest(folder: Path, **settings: object) -> Manifest:
    return Manifest(folder, "stage", settings, {"x": "1"})


def test_manifest_is_current_only_for_equal_settings_inputs_and_files(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, k=(1, 2))
    (tmp_path / "a.bin").write_bytes(b"abc")
    manifest.add(tmp_path / "a.bin", rows=3)
    manifest.save(complete=False)
    assert not _manifest(tmp_path, k=[1, 2]).is_current()
    manifest.save(complete=True)
    again = _manifest(tmp_path, k=[1, 2])
    assert again.is_current()
    assert again.files["a.bin"]["rows"] == 3
    assert not _manifest(tmp_path, k=[1, 3]).is_current()
    assert _manifest(tmp_path, k=[1, 3]).changes() == ["settings.k: [1, 2] -> [1, 3]"]
    assert not Manifest(tmp_path, "stage", {"k": [1, 2]}, {"x": "2"}).is_current()
    (tmp_path / "a.bin").write_bytes(b"ab")
    assert not _manifest(tmp_path, k=[1, 2]).is_current()


def test_manifest_verify_names_a_flipped_byte_a_missing_and_an_unknown_file(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path)
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(b"abc")
        manifest.add(tmp_path / name)
    manifest.save(complete=True)
    Manifest.load(tmp_path).verify()
    (tmp_path / "b.bin").write_bytes(b"abd")
    Manifest.load(tmp_path).verify(hashes=False)
    with pytest.raises(ManifestError, match="b.bin is damaged"):
        Manifest.load(tmp_path).verify()
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ManifestError, match="a.bin is missing"):
        Manifest.load(tmp_path).verify()
    with pytest.raises(ManifestError, match="c.bin is not in"):
        manifest.verify(["c.bin"])


def test_manifest_load_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="manifest.json is missing"):
        Manifest.load(tmp_path)
    write_json(tmp_path / "manifest.json", {"stage": "x"})
    with pytest.raises(ManifestError, match="lacks the field 'settings'"):
        Manifest.load(tmp_path)
