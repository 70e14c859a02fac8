"""Choose, build, measure, save and load a faiss index over a folder of embeddings.

An index folder has ``image.index`` and ``text.index`` (inner product on L2-normalised rows: cosine)
and ``index.json``, the card: encoder identity, factory string, nprobe, rows, bytes, sha256, and the
recall measured against exact search. REACT's released retrieval scripts never set nprobe, so that
faiss' default of 1 applied; here it is explicit.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from react_mm.manifest import (
    ManifestError,
    atomic_path,
    differences,
    read_json,
    sha256_file,
    write_json,
)
from react_mm.retrieval.stored_embeddings import MODALITIES, StoredEmbeddings

CARD_NAME = "index.json"
KINDS = ("auto", "flat", "ivf_flat")
TRAIN_ROWS_PER_LIST = 64


def import_faiss() -> Any:
    """Import faiss, or say which package brings it.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "retrieval needs faiss: `pip install faiss-cpu` (or faiss-gpu, never both in one "
            "environment)"
        ) from error
    return faiss


@dataclasses.dataclass(frozen=True)
class IndexSettings:
    """How to index.

    Attributes:
        kind: 'flat' (exact), 'ivf_flat' (inverted lists), or 'auto' by the number of rows.
        flat_limit: 'auto' takes 'flat' up to this many rows.
        nlist: Number of inverted lists; by the number of rows when None.
        nprobe: Lists that a query visits; when None, the fewest (of powers of two) that reach
            ``recall_target``.
        recall_target: Recall@k to reach against exact search.
        k: The k of the recall that is tuned.
        queries: Stored captions that serve as queries for tuning and measuring.
        seed: Seed of their choice.
    """

    kind: str = "auto"
    flat_limit: int = 200_000
    nlist: int | None = None
    nprobe: int | None = None
    recall_target: float = 0.95
    k: int = 50
    queries: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"index.kind is {self.kind!r}; known are {', '.join(KINDS)}")
        if not 0 < self.recall_target <= 1:
            raise ValueError(f"index.recall_target must be in (0, 1], not {self.recall_target}")
        for name in ("nlist", "nprobe"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"index.{name} must be 1 or more, not {value}")


@dataclasses.dataclass(frozen=True)
class IndexPlan:
    """What to build.

    Attributes:
        kind: 'flat' or 'ivf_flat'.
        factory: faiss factory string.
        nlist: Inverted lists; 0 for 'flat'.
        train_rows: Rows that the lists are trained on; 0 for 'flat'.
    """

    kind: str
    factory: str
    nlist: int
    train_rows: int


def choose_index(
    rows: int, kind: str = "auto", flat_limit: int = 200_000, nlist: int | None = None
) -> IndexPlan:
    """Choose the index; a pure function.

    The number of lists follows faiss' rule of thumb, 4 sqrt(n), and never leaves fewer than 39 rows
    per list, below which its k-means is starved.

    Args:
        rows: Number of rows.
        kind: One of :data:`KINDS`.
        flat_limit: 'auto' takes 'flat' up to this many rows.
        nlist: Number of lists if it is to be fixed.

    Returns:
        The plan.

    Raises:
        ValueError: If there is no row.
    """
    if rows < 1:
        raise ValueError("there is nothing to index: 0 rows")
    if kind == "flat" or (kind == "auto" and rows <= flat_limit):
        return IndexPlan("flat", "Flat", 0, 0)
    nlist = nlist or max(1, min(int(4 * math.sqrt(rows)), rows // 39))
    nlist = min(nlist, rows)
    return IndexPlan("ivf_flat", f"IVF{nlist},Flat", nlist, min(rows, nlist * TRAIN_ROWS_PER_LIST))


def build_index(
    store: StoredEmbeddings,
    folder: str | Path,
    settings: IndexSettings | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Build both indexes and write the card last.

    Args:
        store: Verified embeddings.
        folder: Output folder; the caller holds the lock.
        settings: How to index.
        progress: Whether to show a progress bar.

    Returns:
        The card.

    Raises:
        ImportError: If faiss is not installed.
        ManifestError: If rows are not finite or not normalised.
    """
    faiss, folder, settings = import_faiss(), Path(folder), settings or IndexSettings()
    (folder / CARD_NAME).unlink(missing_ok=True)
    plan = choose_index(store.rows, settings.kind, settings.flat_limit, settings.nlist)
    card: dict[str, Any] = {
        "encoder": store.identity,
        "dimension": store.dimension,
        "rows": store.rows,
        "metric": "inner product of L2-normalised rows",
        "keys": {},
    }
    for modality in MODALITIES:
        index = faiss.index_factory(store.dimension, plan.factory, faiss.METRIC_INNER_PRODUCT)
        if plan.train_rows:
            index.train(_training_rows(store, modality, plan.train_rows))
        bar = tqdm(total=store.rows, unit="row", desc=f"index {modality}", disable=not progress)
        with bar:
            for block in store.blocks(modality):
                index.add(block)
                bar.update(len(block))
        if index.ntotal != store.rows:
            raise RuntimeError(f"{modality}.index took {index.ntotal} of {store.rows} rows")
        measured = _tune(index, store, modality, plan, settings)
        path = folder / f"{modality}.index"
        with atomic_path(path) as temporary:
            faiss.write_index(index, str(temporary))
        card["keys"][modality] = {
            "file": path.name,
            "factory": plan.factory,
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
            **measured,
        }
    write_json(folder / CARD_NAME, card)
    return card


def _training_rows(store: StoredEmbeddings, modality: str, count: int) -> np.ndarray:
    """Evenly spread rows to train the inverted lists on."""
    return store.take(modality, np.linspace(0, store.rows - 1, count).astype(np.int64))


def _tune(
    index: Any, store: StoredEmbeddings, modality: str, plan: IndexPlan, settings: IndexSettings
) -> dict[str, Any]:
    """Set nprobe and measure recall against exact search.

    The queries are stored captions, because text queries lie off the image keys' manifold and probe
    worse than images would. A caption's own row does not count among the text keys.
    """
    if plan.kind == "flat":
        return {"kind": "flat", "nprobe": None, "recall": {"exact": 1.0}}
    generator = np.random.default_rng(settings.seed)
    count = min(settings.queries, store.rows)
    chosen = np.sort(generator.permutation(store.rows)[:count])
    queries = store.take("text", chosen)
    own = chosen if modality == "text" else None
    depth = min(max(100, settings.k), store.rows)
    exact = _exact_rows(store, modality, queries, own, depth)
    k = min(settings.k, store.rows)
    nprobe = settings.nprobe or 1
    while True:
        nprobe = min(nprobe, plan.nlist)
        index.nprobe = nprobe
        found = _without_own(index.search(queries, min(depth + 1, store.rows))[1], own, depth)
        reached = _recall(found, exact, k)
        if settings.nprobe or reached >= settings.recall_target or nprobe == plan.nlist:
            break
        nprobe *= 2
    depths = sorted({1, 10, 100, settings.k})
    recall = {f"recall@{d}": _recall(found, exact, d) for d in depths if d <= depth}
    return {
        "kind": "ivf_flat",
        "nlist": plan.nlist,
        "nprobe": nprobe,
        "recall": {name: round(value, 6) for name, value in recall.items()},
        "recall_queries": f"{count} stored captions, seed {settings.seed}",
        "recall_target": settings.recall_target,
        "recall_reached": bool(reached >= settings.recall_target),
    }


def _exact_rows(
    store: StoredEmbeddings, modality: str, queries: np.ndarray, own: np.ndarray | None, depth: int
) -> list[np.ndarray]:
    """Exact nearest rows by brute force over blocks."""
    scores = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    first = 0
    for block in store.blocks(modality):
        numbers = np.broadcast_to(np.arange(first, first + len(block)), (len(queries), len(block)))
        scores = np.concatenate([scores, queries @ block.T], axis=1)
        rows = np.concatenate([rows, numbers], axis=1)
        keep = np.argsort(-scores, axis=1, kind="stable")[:, : depth + 1]
        scores = np.take_along_axis(scores, keep, 1)
        rows = np.take_along_axis(rows, keep, 1)
        first += len(block)
    return _without_own(rows, own, depth)


def _without_own(rows: np.ndarray, own: np.ndarray | None, depth: int) -> list[np.ndarray]:
    """Drop missing rows (-1) and each query's own row, then cut."""
    result = []
    for number, found in enumerate(rows):
        keep = found >= 0
        if own is not None:
            keep &= found != own[number]
        result.append(found[keep][:depth])
    return result


def _recall(found: list[np.ndarray], exact: list[np.ndarray], k: int) -> float:
    """Mean share of the exact first k that are among the found first k."""
    shares = [
        len(np.intersect1d(a[:k], b[:k])) / max(1, len(b[:k]))
        for a, b in zip(found, exact, strict=True)
    ]
    return float(np.mean(shares))


def load_card(folder: str | Path) -> dict[str, Any]:
    """Read ``index.json``.

    Raises:
        ManifestError: If the folder has no complete index.
    """
    path = Path(folder) / CARD_NAME
    if not path.is_file():
        raise ManifestError(f"{path} is missing: run the stage 'index' first")
    return read_json(path)


def check_encoder(card: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse to query an index with another encoder than the one that filled it.

    Args:
        card: The index card.
        identity: Identity of the encoder that is about to query.

    Raises:
        ManifestError: Naming both identities and their differences.
    """
    identity = json.loads(json.dumps(identity))  # as it would be read back: tuples become lists
    changed = differences(card["encoder"], identity)
    if changed:
        raise ManifestError(
            f"the index was filled by the encoder {card['encoder']}, the query comes from "
            f"{identity}; they differ in {'; '.join(changed)}. Query with the first, or embed and "
            "index the pool again with the second"
        )


def load_index(folder: str | Path, modality: str, verify: bool = True) -> Any:
    """Load an index for searching, with its nprobe set.

    Args:
        folder: Index folder.
        modality: 'image' or 'text'.
        verify: Whether to compare the file's sha256 with the card.

    Returns:
        The faiss index.

    Raises:
        ManifestError: If the file is missing, damaged, or does not match the card.
    """
    faiss, card = import_faiss(), load_card(folder)
    entry = card["keys"][modality]
    path = Path(folder) / entry["file"]
    if not path.is_file():
        raise ManifestError(f"{path} is missing: run the stage 'index' again")
    if path.stat().st_size != entry["bytes"] or (verify and sha256_file(path) != entry["sha256"]):
        raise ManifestError(f"{path} is damaged: it differs from {CARD_NAME}; index again")
    index = faiss.read_index(str(path))
    if index.ntotal != card["rows"] or index.d != card["dimension"]:
        raise ManifestError(
            f"{path} has {index.ntotal} rows of dimension {index.d}, its card says "
            f"{card['rows']} of {card['dimension']}"
        )
    if entry["nprobe"]:
        index.nprobe = entry["nprobe"]
    return index
