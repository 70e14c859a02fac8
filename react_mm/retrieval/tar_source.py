"""Samples of a webdataset tar shard, by the offsets of its members; nothing is ever unpacked."""

from __future__ import annotations

import json
import os
import re
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

from react_mm.retrieval.decoding import (
    DAMAGED_SHARD,
    DUPLICATE_KEY,
    MISSING_IMAGE,
    UNSAFE_MEMBER,
)
from react_mm.retrieval.records import Sample

IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})
MAX_TEXT_BYTES = 1 << 20
BLOCK = 512
# webdataset's rule: everything up to the first dot of the base name is the key.
KEY_AND_SUFFIX = re.compile(r"^((?:.*/|)[^./]+)\.([^/]*)$", re.DOTALL)


@dataclass
class _Group:
    """Members of one key; each is (name, offset, size)."""

    image: tuple[str, int, int] | None = None
    text: tuple[str, int, int] | None = None
    json: tuple[str, int, int] | None = None
    unsafe: str = ""
    repeated_images: int = 0
    repeated_texts: int = 0

    def add(self, suffix: str, member: tarfile.TarInfo) -> None:
        """Take a member in by its suffix; other suffixes are passed over."""
        place = (member.name, member.offset_data, member.size)
        if suffix in IMAGE_SUFFIXES:
            self.repeated_images += self.image is not None
            self.image = self.image or place
        elif suffix == "txt":
            self.repeated_texts += self.text is not None
            self.text = self.text or place
        elif suffix == "json":
            self.json = self.json or place


def check_tar(path: str) -> None:
    """Look at the first header of a shard.

    Args:
        path: The file.

    Raises:
        ValueError: If it is empty, compressed, or no tar file.
    """
    with open(path, "rb") as handle:
        head = handle.read(BLOCK)
    if not head:
        raise ValueError(f"{path} is empty (0 bytes), not a tar file")
    if head[:2] == b"\x1f\x8b":
        raise ValueError(f"{path} is gzip-compressed; uncompress it (members are read by offset)")
    if head == bytes(BLOCK):
        return  # an archive without members
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError as error:
        raise ValueError(f"{path} is not a tar file ({error})") from error


def unsafe_reason(member: tarfile.TarInfo) -> str:
    """Why a member is not to be trusted, or an empty string."""
    parts = member.name.split("/")
    if member.name.startswith("/"):
        return f"absolute name {member.name!r}"
    if ".." in parts:
        return f"name with '..': {member.name!r}"
    if member.isdir():
        return ""  # nothing is ever unpacked, so a folder's entry is only a name
    if member.issym() or member.islnk():
        return f"link {member.name!r} to {member.linkname!r}"
    if not member.isreg() or member.sparse is not None:
        return f"not a regular file: {member.name!r}"
    return ""


def tar_samples(path: str) -> list[Sample]:
    """List the samples of a shard in the order in which their keys first appear.

    Members are grouped by webdataset's rule: the key ends at the first dot of the base name. The
    caption is the ``.txt`` member, else the field ``caption`` of the ``.json`` member.

    Args:
        path: An uncompressed tar file.

    Returns:
        One sample per slot. Unsafe members, repeated keys, texts without an image and damage to the
        archive itself are samples with a reason.
    """
    groups: dict[str, _Group] = {}
    faults: list[tuple[str, str, str]] = []  # key, reason, detail
    with open(path, "rb") as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
        length = os.fstat(handle.fileno()).st_size
        for member in _members(archive, faults):
            unsafe = unsafe_reason(member)
            if member.isdir() and not unsafe:
                continue
            match = KEY_AND_SUFFIX.match(member.name)
            if match is None:
                if unsafe:
                    faults.append((member.name, UNSAFE_MEMBER, unsafe))
                continue
            group = groups.setdefault(match[1], _Group())
            group.unsafe = group.unsafe or unsafe
            if not unsafe:
                group.add(match[2].lower(), member)
        if not faults:
            faults += _check_end(handle, archive.offset, length)
        rows = [
            row
            for key, group in groups.items()
            if group.unsafe or group.image or group.text
            for row in _rows_of(path, key, group, handle, length)
        ]
    rows += [Sample(0, key, path, reason=reason, detail=detail) for key, reason, detail in faults]
    return [
        Sample(position, **{k: v for k, v in vars(row).items() if k != "position"})
        for position, row in enumerate(rows)
    ]


def _members(archive: tarfile.TarFile, faults: list[tuple[str, str, str]]):  # noqa: ANN202
    """Yield members until the end or the first damage, which is noted in ``faults``."""
    while True:
        try:
            member = archive.next()
        except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
            faults.append(("", DAMAGED_SHARD, f"{error} near byte {archive.offset}"))
            return
        if member is None:
            return
        archive.members = []  # a large shard's headers are not kept twice
        yield member


def _check_end(handle: BinaryIO, offset: int, length: int) -> list[tuple[str, str, str]]:
    """Tell a clean end (zero block, or end of file) from a header that could not be read."""
    handle.seek(offset)
    block = handle.read(BLOCK)
    if offset > length:
        return [("", DAMAGED_SHARD, f"ends at byte {length}, its last member at {offset}")]
    if not block:
        return [("", DAMAGED_SHARD, f"ends at byte {length} without the end mark")]
    if block.strip(b"\0"):
        return [("", DAMAGED_SHARD, f"unreadable header at byte {offset}")]
    while rest := handle.read(1 << 20):
        if rest.strip(b"\0"):
            return [("", DAMAGED_SHARD, f"data after the end mark at byte {offset}")]
    return []


def _rows_of(path: str, key: str, group: _Group, handle: BinaryIO, length: int) -> list[Sample]:
    """The sample of one key, then one rejected sample for each repetition."""
    repeated = max(group.repeated_images, group.repeated_texts)
    extra = [Sample(0, key, path, reason=DUPLICATE_KEY, detail=f"repeated in {path}")] * repeated
    if group.unsafe:
        return [Sample(0, key, path, reason=UNSAFE_MEMBER, detail=group.unsafe), *extra]
    if group.image is None:
        return [Sample(0, key, path, reason=MISSING_IMAGE, detail="text without image"), *extra]
    member, offset, size = group.image
    ends = [place[1] + place[2] for place in (group.image, group.text) if place]
    if max(ends) > length:
        detail = f"the shard ends inside {member}"
        return [Sample(0, key, path, member, reason=DAMAGED_SHARD, detail=detail), *extra]
    described = _read_json(handle, group.json)
    caption = None
    if group.text:
        handle.seek(group.text[1])
        caption = handle.read(min(group.text[2], MAX_TEXT_BYTES))
    elif isinstance(described.get("caption"), str):
        caption = described["caption"].encode("utf-8", "surrogatepass")
    url = described.get("url")
    url = url if isinstance(url, str) else ""
    return [Sample(0, key, path, member, offset, size, caption, url), *extra]


def _read_json(handle: BinaryIO, place: tuple[str, int, int] | None) -> dict[str, object]:
    """The ``.json`` member as a dictionary; empty when absent, too large or not valid."""
    if place is None or place[2] > MAX_TEXT_BYTES:
        return {}
    handle.seek(place[1])
    try:
        content = json.loads(handle.read(place[2]))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
