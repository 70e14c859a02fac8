"""Samples of an image folder: captions in ``.txt`` siblings or in a ``pairs.jsonl``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from react_mm.retrieval.class_names import NamePattern
from react_mm.retrieval.decoding import DUPLICATE_KEY, MISSING_CAPTION, MISSING_IMAGE, UNSAFE_MEMBER
from react_mm.retrieval.records import Sample
from react_mm.retrieval.tar_source import IMAGE_SUFFIXES, MAX_TEXT_BYTES


@dataclass(frozen=True)
class FolderEntry:
    """One image of a folder.

    Attributes:
        image: Name relative to the folder, with ``/``.
        caption: Caption from ``pairs.jsonl``; None when it is in ``text_file`` or absent.
        text_file: Name of the ``.txt`` sibling; empty when captions come from ``pairs.jsonl``.
        problem: Reason and detail when it is already known that it cannot be kept.
        url: Address of the image if stated.
    """

    image: str
    caption: str | None = None
    text_file: str = ""
    problem: tuple[str, str] | None = None
    url: str = ""

    def described(self) -> bytes:
        """What the listing says of the entry, for hashing."""
        return repr((self.image, self.caption, self.text_file, self.problem, self.url)).encode()

    def files(self) -> tuple[str, ...]:
        """Names of the files the entry is read from; none when it cannot be kept."""
        if self.problem is not None:
            return ()
        return (self.image, self.text_file) if self.text_file else (self.image,)


def list_folder(
    path: str,
    pairs: str | None = None,
    where: Mapping[str, Any] | None = None,
    strike: Sequence[str] | None = None,
) -> list[FolderEntry]:
    """List the images of a folder in a fixed order.

    Args:
        path: The folder.
        pairs: Name of a JSON-lines file (relative to ``path`` or absolute) with the fields
            ``image`` and ``text`` (or ``caption``); None for ``.txt`` files beside the images.
        where: Fields of ``pairs`` that must have these values.
        strike: Class names to be struck out of the captions of ``pairs``, for a harder pool.

    Returns:
        At least one entry: by name, or in the order of ``pairs``.

    Raises:
        ValueError: If the folder or ``pairs`` is missing, malformed or leaves nothing.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"image folder {path} does not exist")
    if pairs is not None:
        names = NamePattern(strike) if strike else None
        return _mark_repeats(_list_pairs(root / pairs, dict(where or {}), names))
    if where or strike:
        key = "where" if where else "strike"
        raise ValueError(f"`{key}` needs `pairs` (a JSON-lines file) for the folder {path}")
    names = []
    for parent, folders, files in os.walk(root):
        folders.sort()
        relative = Path(parent).relative_to(root)
        names += [(relative / name).as_posix() for name in files if _is_image(name)]
    if not names:
        raise ValueError(f"image folder {path} has no image")
    entries = [
        FolderEntry(name, text_file=_without_suffix(name) + ".txt") for name in sorted(names)
    ]
    return _mark_repeats(entries)


def _is_image(name: str) -> bool:
    """Whether a file name has the suffix of an image and is not hidden."""
    return not name.startswith(".") and name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def _without_suffix(name: str) -> str:
    """A relative name without its last suffix: the key of an image of a folder."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _list_pairs(
    file: Path, where: dict[str, Any], struck: NamePattern | None = None
) -> list[FolderEntry]:
    """Entries of a JSON-lines file that satisfy ``where``, names struck out of their captions."""
    if not file.is_file():
        raise ValueError(f"pairs file {file} does not exist")
    entries: list[FolderEntry] = []
    met: dict[str, set[str]] = {field: set() for field in where}
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number} is not valid JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("image"), str) or not row["image"]:
            raise ValueError(f"{file}, line {number} lacks the field 'image' (a file name)")
        for field, values in met.items():
            values.add(repr(row.get(field)))
        if any(row.get(field) != value for field, value in where.items()):
            continue
        caption = row.get("text", row.get("caption"))
        problem = _unsafe_name(row["image"])
        if problem is None and not isinstance(caption, str):
            problem = (MISSING_CAPTION, f"{file.name}, line {number}")
        url = row["url"] if isinstance(row.get("url"), str) else ""
        caption = caption if isinstance(caption, str) else None
        if caption is not None and struck is not None:
            caption = struck.struck(caption)
        entries.append(FolderEntry(row["image"], caption, "", problem, url))
    if not entries:
        seen = "; ".join(f"{name} is {', '.join(sorted(v)[:10])}" for name, v in met.items())
        raise ValueError(f"{file} has no pair" + (f" with {where}; there {seen}" if where else ""))
    return entries


def _unsafe_name(name: str) -> tuple[str, str] | None:
    """Refuse names that lead out of the folder."""
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        return (UNSAFE_MEMBER, f"name leads out of the folder: {name!r}")
    return None


def _mark_repeats(entries: Sequence[FolderEntry]) -> list[FolderEntry]:
    """Mark every entry after the first of its key."""
    seen: set[str] = set()
    result = []
    for entry in entries:
        key = _without_suffix(entry.image)
        if key in seen and entry.problem is None:
            entry = FolderEntry(entry.image, problem=(DUPLICATE_KEY, entry.image))
        seen.add(key)
        result.append(entry)
    return result


def folder_samples(folder: str, entries: Sequence[FolderEntry]) -> list[Sample]:
    """Samples of a slice of a folder.

    Args:
        folder: The folder.
        entries: Its slice.

    Returns:
        One sample per entry, in order; positions count from 0.
    """
    samples = []
    for position, entry in enumerate(entries):
        key, path = _without_suffix(entry.image), os.path.join(folder, entry.image)
        if entry.problem is not None:
            reason, detail = entry.problem
            samples.append(Sample(position, key, path, reason=reason, detail=detail))
            continue
        if not os.path.isfile(path):
            samples.append(Sample(position, key, path, reason=MISSING_IMAGE, detail=path))
            continue
        caption = _read_caption(folder, entry)
        size = os.path.getsize(path)
        samples.append(Sample(position, key, path, "", 0, size, caption, entry.url))
    return samples


def _read_caption(folder: str, entry: FolderEntry) -> bytes | None:
    """The caption's bytes, None when there is no ``.txt`` file."""
    if entry.caption is not None:
        return entry.caption.encode("utf-8", "surrogatepass")
    try:
        with open(os.path.join(folder, entry.text_file), "rb") as handle:
            return handle.read(MAX_TEXT_BYTES)
    except OSError:
        return None
