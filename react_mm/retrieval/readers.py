"""Pools on disk as units of work: webdataset shards, and image folders cut into fixed slices.

A unit lists its samples without decoding anything. What cannot become a pair (unsafe tar members,
missing captions, duplicate keys) keeps its slot with the reason: every sample read is counted.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from react_mm.manifest import sha256_file
from react_mm.retrieval.decoding import MISSING_IMAGE, TRUNCATED_IMAGE, Rejected
from react_mm.retrieval.folder_source import FolderEntry, folder_samples, list_folder
from react_mm.retrieval.records import Sample
from react_mm.retrieval.tar_source import check_tar, tar_samples

__all__ = ["PoolError", "Unit", "list_pool", "read_bytes"]

SOURCE_KEYS = {
    "webdataset": {"type", "path"},
    "folder": {"type", "path", "pairs", "where", "strike"},
}


class PoolError(ValueError):
    """The pool cannot be read at all: missing, empty, or not what the config says."""


@dataclass(frozen=True)
class Unit:
    """A tar shard, or a fixed slice of an image folder: what is embedded, or redone, as a whole.

    Attributes:
        number: Position in the pool; the NNNN of the output files.
        source: The tar file, or the folder.
        entries: The slice of the folder; None for a tar file.
        first: Position of the slice's first entry in the folder.
    """

    number: int
    source: str
    entries: tuple[FolderEntry, ...] | None = field(default=None, repr=False)
    first: int = 0

    @property
    def name(self) -> str:
        """Name for messages and manifests."""
        if self.entries is None:
            return self.source
        return f"{self.source}[{self.first}:{self.first + len(self.entries)}]"

    def samples(self) -> list[Sample]:
        """List the unit's samples, rejected ones with their reason.

        Returns:
            One sample per slot, in order of position.
        """
        if self.entries is None:
            return tar_samples(self.source)
        return folder_samples(self.source, self.entries)

    def fingerprint(self) -> str:
        """Identity from sizes and times alone, which costs no reading."""
        if self.entries is None:
            stat = os.stat(self.source)
            return f"{stat.st_size}-{stat.st_mtime_ns}"
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(entry.described())
            for path in entry.files():
                digest.update(_stat_line(Path(self.source, path)))
        return digest.hexdigest()

    def content_hash(self) -> str:
        """Identity from the bytes: sha256 of the tar, or of the slice's images and captions."""
        if self.entries is None:
            return sha256_file(self.source)
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(entry.described())
            for path in entry.files():
                file = Path(self.source, path)
                digest.update((sha256_file(file) if file.is_file() else "absent").encode())
        return digest.hexdigest()


def _stat_line(path: Path) -> bytes:
    """Size and time of a file, or a mark for an absent one."""
    try:
        stat = path.stat()
    except OSError:
        return b"absent"
    return f"{stat.st_size}-{stat.st_mtime_ns}".encode()


def list_pool(pool: Sequence[Mapping[str, Any]], folder_slice: int = 1000) -> list[Unit]:
    """List the units of work of a pool, and refuse what cannot be read before long work starts.

    Args:
        pool: Sources in order: ``dict(type='webdataset', path=FILE | FOLDER | GLOB)`` or
            ``dict(type='folder', path=FOLDER, pairs=FILE | None, where=dict | None)``,
            the latter also with ``strike``, class names to be struck out of the captions.
        folder_slice: Images per unit of an image folder.

    Returns:
        At least one unit; numbers count from 0.

    Raises:
        PoolError: If the pool or a source is missing, empty, unknown or listed twice, or a shard is
            not a tar file.
    """
    if isinstance(pool, Mapping):
        pool = [pool]
    if not pool:
        raise PoolError("the pool is empty: give at least one source in `pool` of the config")
    units: list[Unit] = []
    seen: dict[str, int] = {}
    for row, source in enumerate(pool):
        for unit in _list_source(row, source, folder_slice):
            if unit.entries is None:
                real = os.path.realpath(unit.source)
                if real in seen:
                    raise PoolError(f"pool[{row}]: {unit.source} is also in pool[{seen[real]}]")
                seen[real] = row
            units.append(Unit(len(units), unit.source, unit.entries, unit.first))
    return units


def _list_source(row: int, source: Mapping[str, Any], folder_slice: int) -> list[Unit]:
    """Units of one source of the pool, all with number 0."""
    kind = source.get("type")
    if kind not in SOURCE_KEYS:
        raise PoolError(f"pool[{row}].type is {kind!r}; known are {', '.join(SOURCE_KEYS)}")
    unknown = sorted(set(source) - SOURCE_KEYS[kind])
    if unknown:
        known = ", ".join(sorted(SOURCE_KEYS[kind]))
        raise PoolError(f"pool[{row}] has the unknown key(s) {', '.join(unknown)}; known: {known}")
    if not source.get("path"):
        raise PoolError(f"pool[{row}].path is missing")
    path = os.path.expanduser(str(source["path"]))
    try:
        if kind == "webdataset":
            return [Unit(0, shard) for shard in _list_shards(path)]
        entries = list_folder(path, source.get("pairs"), source.get("where"), source.get("strike"))
        return [
            Unit(0, path, tuple(entries[first : first + folder_slice]), first)
            for first in range(0, len(entries), folder_slice)
        ]
    except (ValueError, OSError) as error:
        raise PoolError(f"pool[{row}]: {error}") from error


def _list_shards(path: str) -> list[str]:
    """Tar files named by a file, a folder or a glob, each checked to be one."""
    if os.path.isdir(path):
        shards = sorted(glob.glob(os.path.join(glob.escape(path), "*.tar")))
    elif os.path.isfile(path):
        shards = [path]
    else:
        shards = sorted(glob.glob(path, recursive=True))
    if not shards:
        raise PoolError(f"no tar shard is found at {path}")
    for shard in shards:
        check_tar(shard)
    return shards


def read_bytes(sample: Sample) -> bytes:
    """Read the image's bytes as stored.

    Args:
        sample: A sample of :meth:`Unit.samples`.

    Raises:
        Rejected: If the file is absent or shorter than the sample says.
    """
    try:
        with open(sample.image_path, "rb") as handle:
            handle.seek(sample.offset)
            data = handle.read(sample.size)
    except OSError as error:
        raise Rejected(MISSING_IMAGE, str(error)) from error
    if len(data) != sample.size:
        raise Rejected(TRUNCATED_IMAGE, f"{len(data)} of {sample.size} bytes")
    return data
