"""A retrieval folder as RECO's external memory: nearest pairs and their other modality.

RECO (arXiv 2306.07196) searches within one modality and hands over the other: for an image the text
embeddings of the pairs with the nearest images, for a text the image embeddings of the pairs with
the nearest texts ("uni-modal search, cross-modal fusion"). All four combinations are here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from react_mm.manifest import ManifestError, sha256_bytes, sha256_file
from react_mm.retrieval.index import CARD_NAME, check_encoder, import_faiss, load_card, load_index
from react_mm.retrieval.search import search_rows
from react_mm.retrieval.stored_embeddings import MODALITIES, StoredEmbeddings

WAYS = ("uni", "cross")
OPEN_PARTS = 256  # files of embeddings kept mapped at once
Keep = Callable[[int, np.ndarray], np.ndarray]
"""(number of the query, its found rows int64 (n,)) -> bool (n,), which may be neighbours."""


class Neighbours(NamedTuple):
    """What a memory answers, best first; where it has fewer than k, the last places are empty.

    Attributes:
        rows: int64 (Q, k), rows of the memory, -1 in an empty place.
        scores: float32 (Q, k), cosine of query and key, 0 in an empty place.
        embeddings: float32 (Q, k, D), what is handed over, 0 in an empty place.
    """

    rows: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray


def other(modality: str) -> str:
    """``text`` for ``image`` and ``image`` for ``text``."""
    return MODALITIES[1 - MODALITIES.index(modality)]


def modality_of(side: str, way: str) -> str:
    """The modality that ``way`` means on a side: ``uni`` the side's own, ``cross`` the other.

    Raises:
        ValueError: If side or way is unknown.
    """
    if side not in MODALITIES:
        raise ValueError(f"memory: side is image or text, not {side!r}")
    if way not in WAYS:
        raise ValueError(f"memory: {way!r} is no way to search or fuse; known: {', '.join(WAYS)}")
    return side if way == "uni" else other(side)


class _OpenEmbeddings(StoredEmbeddings):
    """Stored embeddings whose files stay mapped: single rows are asked for again and again."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.part = lru_cache(maxsize=OPEN_PARTS)(super().part)


class RetrievalMemory:
    """The pairs of a finished ``tools/retrieve.py`` folder, searched by either modality.

    The embeddings that are handed over are read from the memory-mapped files of ``embeddings/``.

    Args:
        folder: Work dir of ``tools/retrieve.py`` with ``embeddings/`` and ``index/`` (the stages
            embed and index).
        exclude: Pairs whose image path has one of these in it are no part of the memory (such as
            ``/grocery/``). The rest is then indexed exactly and held in RAM (4 D bytes a row and
            modality searched).
        exclude_captions: The same for words in the caption, upper or lower case.
        deepest: Rows looked at per query when neighbours are left out (:meth:`search`, ``keep``);
            a query that has fewer than k left among them gets fewer.

    Attributes:
        store: The embeddings.
        encoder: Identity of the encoder that filled the memory.
        dimension: D.
        rows: Number of pairs.

    Raises:
        FileNotFoundError: If there is no such folder.
        ManifestError: If the folder is incomplete, or index and embeddings are of two runs.
        ValueError: If ``exclude`` leaves nothing, or fits no pair.
    """

    def __init__(
        self,
        folder: str | Path,
        exclude: Sequence[str] = (),
        deepest: int = 2048,
        exclude_captions: Sequence[str] = (),
    ) -> None:
        self.folder, self.deepest = Path(folder), deepest
        self.exclude, self.exclude_captions = tuple(exclude), tuple(exclude_captions)
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"memory {folder} does not exist: make it with `tools/retrieve.py run CONFIG`"
            )
        self.store = _OpenEmbeddings(self.folder / "embeddings")
        self.card = load_card(self.folder / "index")
        self.encoder: dict[str, Any] = self.card["encoder"]
        check_encoder(self.card, self.store.identity)
        if self.card["rows"] != self.store.rows:
            raise ManifestError(
                f"{self.folder}: the index has {self.card['rows']} rows, the embeddings "
                f"{self.store.rows}; run the stage 'index' again"
            )
        self.dimension = self.store.dimension
        self._chosen = self._choose() if exclude or exclude_captions else None
        self.rows = self.store.rows if self._chosen is None else len(self._chosen)
        self._indexes: dict[str, Any] = {}
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """sha256 of what the memory holds: embeddings, index card and ``exclude``."""
        if self._digest is None:
            parts = [
                sha256_file(self.store.folder / "manifest.json"),
                sha256_file(self.folder / "index" / CARD_NAME),
                json.dumps([sorted(self.exclude), sorted(self.exclude_captions)]),
            ]
            self._digest = sha256_bytes("|".join(parts).encode())
        return self._digest

    def describe(self) -> dict[str, Any]:
        """What a card says of this memory."""
        return {
            "folder": str(self.folder),
            "exclude": [*self.exclude, *self.exclude_captions],
            "rows": self.rows,
            "digest": self.digest,
        }

    def check_encoder(self, identity: dict[str, Any]) -> None:
        """Refuses queries of another encoder.

        Raises:
            ManifestError: Naming both.
        """
        check_encoder(self.card, identity)

    def search(
        self,
        embeddings: np.ndarray,
        k: int,
        side: str,
        search: str = "uni",
        fuse: str = "cross",
        keep: Keep | None = None,
    ) -> Neighbours:
        """Nearest pairs of each query.

        Args:
            embeddings: (Q, D) float, L2-normalised, of one modality.
            k: Neighbours per query, 0 or more; a memory of fewer pairs gives what it has.
            side: The queries' modality, 'image' or 'text'.
            search: 'uni': by the keys of the queries' modality; 'cross': by the other's.
            fuse: 'cross': the other modality's embeddings are handed over; 'uni': the same's.
            keep: Which of the found rows may be neighbours; all by default.

        Returns:
            The neighbours.

        Raises:
            ManifestError: If queries are of another dimension, not finite or not normalised.
            ValueError: If a name is unknown or k is negative.
        """
        keys, values = modality_of(side, search), modality_of(side, fuse)
        if k < 0:
            raise ValueError(f"memory: k must be 0 or more, not {k}")
        queries = np.asarray(embeddings, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.zeros((len(queries), k), np.float32)
        if k and len(queries):
            for number, (found, score) in enumerate(self._nearest(queries, k, keys, keep)):
                rows[number, : len(found)], scores[number, : len(found)] = found, score
        return Neighbours(rows, scores, self.values(rows, values))

    def values(self, rows: np.ndarray, modality: str) -> np.ndarray:
        """Embeddings of rows.

        Args:
            rows: int64 of any shape, -1 for none.
            modality: 'image' or 'text'.

        Returns:
            float32 (*shape, D), zeros where there is no row.
        """
        there = rows >= 0
        result = np.zeros((*rows.shape, self.dimension), np.float32)
        unique, place = np.unique(rows[there], return_inverse=True)
        result[there] = self.store.take(modality, unique)[place]
        return result

    def captions(self, rows: np.ndarray) -> list[str]:
        """Captions of rows, int64 (N,)."""
        return self.store.metadata(rows)["caption"].to_pylist()

    def _nearest(
        self, queries: np.ndarray, k: int, keys: str, keep: Keep | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """(rows, scores) of each query; looks deeper while rows that are left out take places."""
        index, results = self._index(keys), {}
        open_queries, depth = np.arange(len(queries)), k if keep is None else 2 * k + 8
        deepest = min(index.ntotal, max(k, self.deepest))
        while len(open_queries):
            undecided = []
            for number, (found, score) in zip(
                open_queries, search_rows(index, queries[open_queries], depth), strict=True
            ):
                rows = found if self._chosen is None else self._chosen[found]
                kept = np.ones(len(rows), bool) if keep is None else keep(int(number), rows)
                if kept.sum() < k and depth < deepest and len(rows) == min(depth, index.ntotal):
                    undecided.append(number)
                else:
                    results[int(number)] = (rows[kept][:k], score[kept][:k])
            open_queries = np.array(undecided, np.int64)
            depth = min(4 * depth, deepest)
        return [results[number] for number in range(len(queries))]

    def _index(self, keys: str) -> Any:
        """The index of a modality, loaded when it is first asked for."""
        if keys not in self._indexes:
            if self._chosen is None:
                self._indexes[keys] = load_index(self.folder / "index", keys)
            else:
                index = import_faiss().IndexFlatIP(self.dimension)
                for first in range(0, len(self._chosen), 65536):
                    index.add(self.store.take(keys, self._chosen[first : first + 65536]))
                self._indexes[keys] = index
        return self._indexes[keys]

    def _choose(self) -> np.ndarray:
        """Rows that ``exclude`` leaves, int64, ascending."""
        kept = []
        for first in range(0, self.store.rows, 65536):
            rows = np.arange(first, min(first + 65536, self.store.rows))
            table = self.store.metadata(rows)
            out = texts_with(table["image_path"], self.exclude)
            words = [word.lower() for word in self.exclude_captions]
            out |= texts_with(pc.utf8_lower(table["caption"]), words)
            kept.append(rows[~out])
        chosen = np.concatenate(kept)
        if not 0 < len(chosen) < self.store.rows:
            raise ValueError(
                f"memory {self.folder}: without {[*self.exclude, *self.exclude_captions]} it has "
                f"{len(chosen)} of {self.store.rows} pairs"
            )
        return chosen


def texts_with(texts: pa.ChunkedArray, parts: Iterable[str]) -> np.ndarray:
    """Which texts have one of the parts in them, bool (N,)."""
    found = np.zeros(len(texts), bool)
    for part in parts:
        found |= pc.match_substring(texts, part).to_numpy(zero_copy_only=False)
    return found


def image_ids(store: StoredEmbeddings) -> np.ndarray:
    """Names of the images by content, uint64 (rows,): equal pictures have equal numbers."""
    ids = np.empty(store.rows, np.uint64)
    for first in range(0, store.rows, 65536):
        rows = np.arange(first, min(first + 65536, store.rows))
        for row, sha in zip(rows, store.metadata(rows)["sha256"].to_pylist(), strict=True):
            digest = hashlib.blake2b(sha.encode(), digest_size=8).digest()
            ids[row] = int.from_bytes(digest, "little")
    return ids
