# Copyright (c) react_mm contributors. SPDX-License-Identifier: Apache-2.0
"""Files that are either whole or absent, and a record of what a stage has written.

Every write that matters goes to a temporary name in the same folder, is flushed to disk and
renamed. A stage's folder has a ``manifest.json`` with its settings, its inputs and the rows, bytes
and sha256 of each file, so that a later run can tell what is done, left or damaged.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "Manifest",
    "ManifestError",
    "RunLock",
    "atomic_path",
    "differences",
    "read_json",
    "remove_leftovers",
    "sha256_bytes",
    "sha256_file",
    "write_json",
]

TEMPORARY_PREFIX = ".tmp-"
MANIFEST_NAME = "manifest.json"


class ManifestError(RuntimeError):
    """A file on disk is missing, damaged, or belongs to other settings."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` only if the block ends without an error.

    The temporary file lies in the same folder (created when absent) and keeps the suffix. On
    success it is flushed to disk (fsync), renamed with ``os.replace``, and the folder is flushed
    too; on any error it is removed and an older file at ``path`` stays as it was.

    Args:
        path: Final file name.

    Yields:
        The temporary path to write to.

    Raises:
        FileNotFoundError: If the block ended without writing the file.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{final.name}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to {temporary}, so {final} was not made")
        _flush(temporary)
        os.replace(temporary, final)
        _flush(final.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    """Ask the system to put a file or a folder on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: str | os.PathLike[str]) -> int:
    """Remove temporary files of a killed run under ``folder`` (call it holding the run lock).

    Args:
        folder: Folder that is searched with its subfolders.

    Returns:
        How many files were removed.
    """
    leftovers = [p for p in Path(folder).rglob(f"{TEMPORARY_PREFIX}*") if p.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write ``obj`` as JSON atomically, with sorted keys so that equal content gives equal bytes.

    Args:
        path: Final file name.
        obj: What :mod:`json` can hold. NaN and infinity are refused.

    Raises:
        ValueError: If ``obj`` holds NaN or infinity.
    """
    text = json.dumps(obj, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Args:
        path: File name.

    Returns:
        The decoded content.

    Raises:
        FileNotFoundError: If the file is absent.
        ManifestError: If it is not valid JSON; the message names the file and the line.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path} is not valid JSON ({error}); remove it and run again"
        ) from error


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """List the leaves in which two JSON-like values differ, as ``name: old -> new``.

    Args:
        old: Recorded value.
        new: Value wanted now.
        name: Dotted name of the value, used in the result.

    Returns:
        One line for each difference; empty when equal.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted({*old, *new}, key=str):
            child = f"{name}.{key}" if name else str(key)
            if key not in old:
                lines.append(f"{child}: (absent) -> {new[key]!r}")
            elif key not in new:
                lines.append(f"{child}: {old[key]!r} -> (absent)")
            else:
                lines += differences(old[key], new[key], child)
        return lines
    return [] if old == new else [f"{name or 'value'}: {old!r} -> {new!r}"]


class RunLock:
    """Exclusive lock on an output folder; a second run on the same folder is refused.

    It is an advisory ``flock`` on ``<folder>/.lock``: the system releases it when the process ends,
    also by SIGKILL, so that no stale lock is ever left behind.

    Args:
        folder: Output folder; created when absent.

    Raises:
        ManifestError: On entering, if another run holds the lock; the message names its process.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._handle: int | None = None

    def __enter__(self) -> RunLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 64).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise ManifestError(
                f"another run (process {holder}) is writing to {self.folder}; "
                "wait for it to end or choose another work_dir"
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Manifest:
    """Record of one stage's folder, kept as ``manifest.json``.

    Args:
        folder: The stage's output folder.
        stage: Name of the stage, for messages.
        settings: JSON-like settings that decide the stage's output.
        inputs: JSON-like identity of what the stage reads (hashes of files).

    Attributes:
        files: ``relative name -> {bytes, sha256, rows}`` of the files written so far.
        facts: Free JSON-like results of the stage (counts).
        complete: Whether the stage has ended.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        stage: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.stage = stage
        # Through JSON once, so that tuples and lists compare equal to what is read back.
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings)))
        self.inputs: dict[str, Any] = json.loads(json.dumps(dict(inputs or {})))
        self.files: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {}
        self.complete = False

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Manifest:
        """Read the manifest of ``folder``.

        Args:
            folder: The stage's output folder.

        Raises:
            ManifestError: If there is none, or it is damaged.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            raise ManifestError(f"{path} is missing: run the stage that writes {folder} first")
        content = read_json(path)
        try:
            manifest = cls(folder, content["stage"], content["settings"], content["inputs"])
            manifest.files, manifest.facts = content["files"], content["facts"]
            manifest.complete = bool(content["complete"])
        except (KeyError, TypeError) as error:
            raise ManifestError(
                f"{path} lacks the field {error}; remove it and run again"
            ) from error
        return manifest

    def changes(self) -> list[str] | None:
        """Compare with the manifest on disk.

        Returns:
            None if there is no complete manifest on disk; else the differing settings and inputs.
        """
        try:
            old = Manifest.load(self.folder)
        except ManifestError:
            return None
        if not old.complete:
            return None
        return differences(old.settings, self.settings, "settings") + differences(
            old.inputs, self.inputs, "inputs"
        )

    def is_current(self) -> bool:
        """Whether the folder holds this stage's complete output for equal settings and inputs."""
        if self.changes() != []:
            return False
        old = Manifest.load(self.folder)
        if any(not _same_size(self.folder / name, entry) for name, entry in old.files.items()):
            return False
        self.files, self.facts, self.complete = old.files, old.facts, True
        return True

    def add(self, path: str | os.PathLike[str], rows: int | None = None) -> dict[str, Any]:
        """Record a finished file that lies under the folder.

        Args:
            path: The file.
            rows: How many rows it holds, if it has rows.

        Returns:
            Its entry ``{bytes, sha256, rows}``.
        """
        path = Path(path)
        entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        if rows is not None:
            entry["rows"] = int(rows)
        self.files[path.relative_to(self.folder).as_posix()] = entry
        return entry

    def save(self, complete: bool) -> None:
        """Write ``manifest.json`` atomically.

        Args:
            complete: Whether the stage has ended; False while it is still running.
        """
        self.complete = complete
        names = ("stage", "settings", "inputs", "files", "facts", "complete")
        write_json(self.folder / MANIFEST_NAME, {name: getattr(self, name) for name in names})

    def verify(self, names: list[str] | None = None, hashes: bool = True) -> None:
        """Check files against the record.

        Args:
            names: Relative names to check; all when None.
            hashes: Whether to read the files and compare sha256, not only sizes.

        Raises:
            ManifestError: Naming the first file that is unknown, missing or changed.
        """
        for name in self.files if names is None else names:
            entry, path = self.files.get(name), self.folder / name
            if entry is None:
                raise ManifestError(f"{path} is not in {self.folder / MANIFEST_NAME}")
            if not path.is_file():
                raise ManifestError(f'{path} is missing; run the stage "{self.stage}" again')
            if not _same_size(path, entry) or (hashes and sha256_file(path) != entry["sha256"]):
                raise ManifestError(
                    f"{path} is damaged: its content differs from {self.folder / MANIFEST_NAME}; "
                    f'remove it and run the stage "{self.stage}" again'
                )


def _same_size(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether the file is there with the recorded number of bytes."""
    return path.is_file() and path.stat().st_size == entry["bytes"]
