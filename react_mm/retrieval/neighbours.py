"""Neighbours of training pairs in a memory, searched once and kept on disk.

Training then reads rows and embeddings and decodes no image. Left out of a pair's neighbours are
all pairs of the same picture (by content), so also itself, and near-duplicates of it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from react_mm.manifest import (
    Manifest,
    ManifestError,
    RunLock,
    atomic_path,
    sha256_bytes,
    sha256_file,
)
from react_mm.retrieval.index import check_encoder
from react_mm.retrieval.memory import RetrievalMemory, image_ids
from react_mm.retrieval.stored_embeddings import MODALITIES, StoredEmbeddings


@dataclasses.dataclass(frozen=True)
class NeighbourSettings:
    """How neighbours are searched for training.

    Attributes:
        k: Neighbours per pair and side, at most.
        search: 'uni': by the keys of the query's own modality (RECO); 'cross': by the other's.
        duplicate_image: Pairs whose image has a greater cosine with the query pair's image are
            near-duplicates and left out; None keeps them.
        duplicate_text: The same of texts. Many pools say the same words of many pictures, and at
            test time such captions are there to be found: None by default.
        block: Pairs searched at once; no influence on the result.
    """

    k: int = 10
    search: str = "uni"
    duplicate_image: float | None = 0.98
    duplicate_text: float | None = None
    block: int = 2048

    def __post_init__(self) -> None:
        if self.k < 1 or self.block < 1:
            raise ValueError(f"neighbours: k={self.k}, block={self.block} must be 1 or more")
        for name in ("duplicate_image", "duplicate_text"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"neighbours.{name} must lie in (0, 1] or be None, not {value}")


@dataclasses.dataclass(frozen=True)
class StoredNeighbours:
    """Memory-mapped neighbours of one side's queries.

    Attributes:
        rows: int64 (N, k), rows of the memory, -1 for none.
        scores: float32 (N, k), cosine of query and key.
    """

    rows: np.ndarray
    scores: np.ndarray


def neighbours_of(
    pairs: StoredEmbeddings,
    memory: RetrievalMemory,
    side: str,
    settings: NeighbourSettings,
    folder: str | Path,
    progress: bool = True,
) -> StoredNeighbours:
    """Neighbours of every pair's image or text, from the cache where they are there.

    Args:
        pairs: The training pairs.
        memory: Where neighbours are; it may hold the training pairs.
        side: 'image' or 'text': what of the pair is the query.
        settings: How to search.
        folder: Of the cache; one subfolder per pairs, memory, side and settings, named by their
            hash, complete or made anew.
        progress: Whether to show a progress bar.

    Returns:
        The neighbours, memory-mapped.

    Raises:
        ManifestError: If pairs and memory are of two encoders, or another run is writing there.
    """
    check_encoder(memory.card, pairs.identity)
    recorded: dict[str, Any] = {
        k: v for k, v in dataclasses.asdict(settings).items() if k != "block"
    } | {"side": side, "deepest": memory.deepest}
    inputs = {"pairs": sha256_file(pairs.folder / "manifest.json"), "memory": memory.digest}
    key = sha256_bytes(json.dumps([recorded, inputs], sort_keys=True).encode())[:24]
    place = Path(folder) / f"{side}-{key}"
    manifest = Manifest(place, "neighbours", recorded, inputs)
    if not _intact(manifest):
        with RunLock(place):
            if not _intact(manifest):
                _search_all(pairs, memory, side, settings, manifest, progress)
    rows, scores = (np.load(place / f"{name}.npy", mmap_mode="r") for name in ("rows", "scores"))
    if rows.shape != scores.shape or rows.shape != (pairs.rows, settings.k):
        raise ManifestError(f"{place} holds neighbours of shape {rows.shape}: remove it")
    return StoredNeighbours(rows, scores)


def _intact(manifest: Manifest) -> bool:
    """Whether the cache is complete and its bytes are those that were written."""
    if not manifest.is_current():
        return False
    try:
        manifest.verify()
    except ManifestError:
        return False
    return True


def _search_all(
    pairs: StoredEmbeddings,
    memory: RetrievalMemory,
    side: str,
    settings: NeighbourSettings,
    manifest: Manifest,
    progress: bool,
) -> None:
    """Searches block by block, and writes both files and the manifest."""
    own, stored = image_ids(pairs), image_ids(memory.store)
    place, shape = manifest.folder, (pairs.rows, settings.k)
    limits = dict(zip(MODALITIES, (settings.duplicate_image, settings.duplicate_text), strict=True))
    with (
        atomic_path(place / "rows.npy") as rows_file,
        atomic_path(place / "scores.npy") as scores_file,
        tqdm(total=pairs.rows, unit="pair", desc=f"neighbours {side}", disable=not progress) as bar,
    ):
        rows = np.lib.format.open_memmap(rows_file, "w+", np.int64, shape)
        scores = np.lib.format.open_memmap(scores_file, "w+", np.float32, shape)
        for first in range(0, pairs.rows, settings.block):
            part = slice(first, min(first + settings.block, pairs.rows))
            numbers = np.arange(part.start, part.stop)
            vectors = {m: _unit(pairs.take(m, numbers)) for m in MODALITIES}
            keep = _Allowed(own[part], stored, vectors, limits, memory.store)
            found = memory.search(vectors[side], settings.k, side, settings.search, "uni", keep)
            rows[part], scores[part] = found.rows, found.scores
            bar.update(len(numbers))
        rows.flush()
        scores.flush()
        missing = int((rows < 0).sum())
        del rows, scores
    for name in ("rows.npy", "scores.npy"):
        manifest.add(place / name, pairs.rows)
    manifest.facts = {"pairs": pairs.rows, "empty_places": missing}
    manifest.save(complete=True)


class _Allowed:
    """Which found rows may be neighbours of a query pair.

    Args:
        own: Ids of the query pairs' images, uint64 (Q,).
        stored: Ids of the memory's images, uint64 (rows,).
        vectors: Embeddings of the query pairs by modality, float32 (Q, D).
        limits: Cosine above which a pair is a near-duplicate, by modality, or None.
        store: The memory's embeddings.
    """

    def __init__(
        self,
        own: np.ndarray,
        stored: np.ndarray,
        vectors: dict[str, np.ndarray],
        limits: dict[str, float | None],
        store: StoredEmbeddings,
    ) -> None:
        self.own, self.stored, self.vectors = own, stored, vectors
        self.limits, self.store = limits, store

    def __call__(self, number: int, rows: np.ndarray) -> np.ndarray:
        kept = self.stored[rows] != self.own[number]
        for modality, limit in self.limits.items():
            if limit is not None and kept.any():
                near = self.store.take(modality, rows) @ self.vectors[modality][number]
                kept &= near <= limit
        return kept


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of norm 1: stored ones are rounded to float16."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
