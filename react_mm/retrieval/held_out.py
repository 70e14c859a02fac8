"""Images that must not enter a set, by the sha256 of their bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from react_mm.manifest import sha256_file
from react_mm.retrieval.folder_source import list_folder
from react_mm.retrieval.records import read_parquet
from react_mm.retrieval.tar_source import IMAGE_SUFFIXES

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def held_out_hashes(sources: Iterable[str | Path | Mapping[str, Any]]) -> dict[str, str]:
    """Hash the held-out images.

    Args:
        sources: Each is a folder of images (searched with its subfolders), a folder of an exported
            set (with ``pairs.parquet``), a text file with one sha256 or image file per line
            (relative to the text file), or ``dict(path=FOLDER, pairs=FILE, where=dict)``.

    Returns:
        ``sha256 -> source``.

    Raises:
        ValueError: If a source is missing or names no image; the message names it.
    """
    hashes: dict[str, str] = {}
    for source in sources:
        for digest in _hashes_of(source):
            hashes.setdefault(digest, str(source))
    return hashes


def _hashes_of(source: str | Path | Mapping[str, Any]) -> list[str]:
    """Hashes of one source."""
    if isinstance(source, Mapping):
        root = Path(str(source["path"]))
        entries = list_folder(str(root), source.get("pairs"), source.get("where"))
        files = [root / entry.image for entry in entries if entry.problem is None]
        return [sha256_file(file) for file in files if file.is_file()]
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "pairs.parquet").is_file():
            return read_parquet(path / "pairs.parquet", columns=["sha256"])["sha256"].to_pylist()
        files = [
            Path(parent) / name
            for parent, _, names in os.walk(path)
            for name in names
            if name.rpartition(".")[2].lower() in IMAGE_SUFFIXES
        ]
        if not files:
            raise ValueError(f"held-out folder {path} has no image")
        return [sha256_file(file) for file in files]
    if not path.is_file():
        raise ValueError(f"held-out source {path} does not exist")
    hashes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if SHA256.fullmatch(text):
            hashes.append(text.lower())
        elif text:
            file = path.parent / text
            if not file.is_file():
                raise ValueError(f"{path}, line {number}: {text!r} is neither a sha256 nor a file")
            hashes.append(sha256_file(file))
    if not hashes:
        raise ValueError(f"held-out list {path} is empty")
    return hashes
