"""Random access into tar shards: where each member lies, found once and kept beside the shard.

A shard is read through its headers a single time; the offsets (and the small text members
themselves) go to ``<shard>.index.arrow``, which is used as long as the shard's size and
modification time are those it was made from. Nothing is ever extracted to a path.
"""

import hashlib
import json
import logging
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa

from react_mm.manifest import atomic_path

FORMAT = "react_mm.tar_index.v1"
INLINE_SUFFIXES = (".txt", ".json")
INLINE_BYTES = 1 << 17
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Member:
    """One regular file of a shard.

    Attributes:
        name: Its name in the tar.
        offset: First byte of its content in the shard.
        size: Number of bytes.
        content: The bytes themselves for small ``.txt`` and ``.json`` members, else None.
    """

    name: str
    offset: int
    size: int
    content: bytes | None = None


class TarIndex:
    """The members of one shard.

    Args:
        path: The shard.
        members: Its safe members in file order.
        rejected: Number of members left out, by reason.
    """

    def __init__(self, path: str | Path, members: list[Member], rejected: dict[str, int]) -> None:
        self.path = Path(path)
        self.members = members
        self.rejected = rejected

    @classmethod
    def open(cls, path: str | Path, cache_dir: str | Path | None = None) -> "TarIndex":
        """Loads the stored index of a shard, or reads the shard and stores it.

        Args:
            path: An uncompressed tar file.
            cache_dir: Where to keep the index instead of beside the shard. Without it, a shard in a
                folder that cannot be written keeps its index under ``$XDG_CACHE_HOME/react_mm``.

        Raises:
            FileNotFoundError: If the shard does not exist.
            ValueError: If it is empty, compressed, or not a tar.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"shard {path} does not exist")
        stamp = _stamp(path)
        places = _index_places(path, cache_dir)
        for place in places:
            stored = _load(path, place, stamp)
            if stored is not None:
                return stored
        index = cls(path, *_scan(path))
        for place in places:
            if _store(index, place, stamp):
                break
        return index

    def __len__(self) -> int:
        return len(self.members)

    def samples(self) -> Iterator[tuple[str, dict[str, Member]]]:
        """Members grouped by webdataset's rule: same name up to the first dot of its last part.

        Yields:
            (key, {suffix in lower case, with its dot: member}) in the order of first appearance. Of
            two members with the same key and suffix the first counts.
        """
        grouped: dict[str, dict[str, Member]] = {}
        for member in self.members:
            key, suffix = split_key(member.name)
            if suffix:
                grouped.setdefault(key, {}).setdefault(suffix, member)
        yield from grouped.items()


def split_key(name: str) -> tuple[str, str]:
    """Splits ``a/b.c.jpg`` into the sample's key ``a/b`` and the suffix ``.c.jpg``."""
    folder, _, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    key = f"{folder}/{stem}" if folder else stem
    return key, (dot + suffix).lower()


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _index_places(path: Path, cache_dir: str | Path | None) -> list[Path]:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16] + ".index.arrow"
    if cache_dir is not None:
        return [Path(cache_dir) / f"{path.name}.{name}"]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return [path.with_name(path.name + ".index.arrow"), home / "react_mm" / f"{path.name}.{name}"]


def _scan(path: Path) -> tuple[list[Member], dict[str, int]]:
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        raise ValueError(f"shard {path} is empty (0 bytes)")
    if head.startswith(_GZIP):
        raise ValueError(f"shard {path} is compressed: random access needs a plain tar; gunzip it")
    size_of_file = path.stat().st_size
    members, rejected = [], Counter()
    try:
        with tarfile.open(path, "r:") as tar, open(path, "rb") as file:
            while True:
                try:
                    info = tar.next()
                except (tarfile.TarError, EOFError):
                    rejected["shard truncated or damaged after this point"] += 1
                    break
                tar.members = []  # tarfile keeps every header otherwise
                if info is None:
                    break
                reason = _unsafe(info, size_of_file)
                if reason is not None:
                    rejected[reason] += not info.isdir()
                    continue
                members.append(_member(info, file))
    except tarfile.TarError as error:
        raise ValueError(f"shard {path} is not a tar file: {error}") from error
    return members, {reason: n for reason, n in rejected.items() if n}


def _unsafe(info: tarfile.TarInfo, size_of_file: int) -> str | None:
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.sparse is not None:
        return "not a regular file"
    parts = PurePosixPath(info.name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        return "unsafe name"
    if info.offset_data + info.size > size_of_file:
        return "truncated"
    return None


def _member(info: tarfile.TarInfo, file: BinaryIO) -> Member:
    content = None
    if info.name.lower().endswith(INLINE_SUFFIXES) and info.size <= INLINE_BYTES:
        file.seek(info.offset_data)
        content = file.read(info.size)
    return Member(info.name, info.offset_data, info.size, content)


def _store(index: TarIndex, place: Path, stamp: dict[str, int]) -> bool:
    table = pa.table(
        {
            "name": pa.array([m.name for m in index.members], pa.string()),
            "offset": pa.array([m.offset for m in index.members], pa.int64()),
            "size": pa.array([m.size for m in index.members], pa.int64()),
            "content": pa.array([m.content for m in index.members], pa.large_binary()),
        }
    )
    card = {"format": FORMAT, "stamp": stamp, "rejected": index.rejected}
    table = table.replace_schema_metadata({"react_mm": json.dumps(card)})
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(place) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
    except (OSError, UnicodeError) as error:
        logging.getLogger(__name__).warning(
            "index of %s not stored at %s: %s", index.path, place, error
        )
        return False
    return True


def _load(path: Path, place: Path, stamp: dict[str, int]) -> TarIndex | None:
    if not place.is_file():
        return None
    try:
        with pa.memory_map(str(place)) as source:
            table = pa.ipc.open_file(source).read_all()
            card = json.loads(table.schema.metadata[b"react_mm"])
            if card["format"] != FORMAT or card["stamp"] != stamp:
                return None
            columns = [table.column(c).to_pylist() for c in ("name", "offset", "size", "content")]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None  # a damaged index is made anew
    return TarIndex(path, [Member(*row) for row in zip(*columns, strict=True)], card["rejected"])


class TarReader:
    """Reads bytes of shards by offset, with one descriptor per shard and process.

    Safe in forked or spawned workers: reads are positioned (``os.pread``), no file position is
    shared, and descriptors are opened anew after a fork or unpickling.

    Args:
        max_open: Descriptors kept at once.
    """

    def __init__(self, max_open: int = 128) -> None:
        self.max_open = max_open
        self._open: dict[str, int] = {}
        self._owner = os.getpid()

    def read(self, path: str | Path, offset: int, size: int) -> bytes:
        """Reads ``size`` bytes at ``offset``.

        Raises:
            OSError: If the shard is gone or shorter than that.
        """
        if self._owner != os.getpid():
            self._open, self._owner = {}, os.getpid()
        name = os.fspath(path)
        descriptor = self._open.pop(name, None)
        if descriptor is None:
            while len(self._open) >= self.max_open:
                os.close(self._open.pop(next(iter(self._open))))
            descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._open[name] = descriptor  # last used stands last
        data = os.pread(descriptor, size, offset)
        if len(data) != size:
            raise OSError(f"shard {name} ends before byte {offset + size}: it has changed")
        return data

    def close(self) -> None:
        """Closes every descriptor of this process."""
        if self._owner == os.getpid():
            for descriptor in self._open.values():
                os.close(descriptor)
        self._open = {}

    def __getstate__(self) -> dict[str, int]:
        return {"max_open": self.max_open}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)

    def __del__(self) -> None:
        self.close()
