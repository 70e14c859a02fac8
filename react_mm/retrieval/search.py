"""Batched search: text queries against image keys (T2I) or text keys (T2T).

Scores are computed again from the stored rows in float64, one query at a time, and hits are sorted
by (score, then row): results do not depend on the batch size, and ties come in a stable order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from react_mm.manifest import ManifestError
from react_mm.retrieval.index import check_encoder, import_faiss, load_card, load_index
from react_mm.retrieval.records import HIT_SCHEMA, MODES, Query

KEYS_OF_MODE = {"T2I": "image", "T2T": "text"}
BACKGROUND_ROWS = 1000
# Float32 sums in faiss differ from the float64 ones by less than this on rows of norm 1.
ROUNDING = 1e-5


def search_rows(
    index: Any, queries: np.ndarray, k: int, batch_size: int = 256
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find each query's nearest rows.

    Args:
        index: A faiss inner-product index, Flat or IVF-Flat.
        queries: (Q, D) float32, L2-normalised.
        k: How many rows to find; when the index has fewer, all it has.
        batch_size: Queries per call of faiss; no influence on the result.

    Returns:
        Per query: rows int64 (n,) and scores float32 (n,), n <= k, best first, ties by row. Exact
        for a Flat index.

    Raises:
        ManifestError: If queries are of another dimension, not finite or not normalised.
        ValueError: If k is less than 1.
    """
    if k < 1:
        raise ValueError(f"search.k must be 1 or more, not {k}")
    queries = np.ascontiguousarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != index.d:
        raise ManifestError(f"queries of shape {queries.shape} do not fit dimension {index.d}")
    if not np.all(np.abs(np.linalg.norm(queries, axis=1) - 1) <= 1e-2):
        raise ManifestError("queries are not finite or not L2-normalised")
    faiss = import_faiss()
    results: list[tuple[np.ndarray, np.ndarray]] = []
    threshold = faiss.cvar.distance_compute_blas_threshold
    try:
        if hasattr(index, "nprobe"):  # lists are then chosen query by query, not by a BLAS block
            faiss.cvar.distance_compute_blas_threshold = 1 << 30
        for first in range(0, len(queries), batch_size):
            results += _search_block(index, queries[first : first + batch_size], k)
    finally:
        faiss.cvar.distance_compute_blas_threshold = threshold
    return results


def _search_block(index: Any, queries: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Search a few more than k, score them exactly, and go deeper while the cut is not certain."""
    results: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    open_queries = np.arange(len(queries))
    depth = min(k + max(16, k // 4), index.ntotal)
    while len(open_queries):
        approximate, rows, vectors = _candidates(index, queries[open_queries], depth)
        undecided = []
        for slot, number in enumerate(open_queries):
            there = rows[slot] >= 0
            exact = _scores(vectors[slot][there], queries[number])
            order = np.lexsort((rows[slot][there], -exact))[:k]
            found = rows[slot][there][order]
            certain = not there.all() or depth == index.ntotal or len(order) < k
            if not certain:
                certain = exact[order[-1]] > approximate[slot][-1] + ROUNDING
            if certain:
                results[int(number)] = (found, exact[order])
            else:
                undecided.append(number)
        open_queries = np.array(undecided, np.int64)
        depth = min(2 * depth, index.ntotal)
    return [results[number] for number in range(len(queries))]


def _candidates(
    index: Any, queries: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """faiss' scores (Q, depth), rows (Q, depth; -1 where there is none) and the rows' vectors."""
    if hasattr(index, "nprobe"):
        scores, rows, vectors = index.search_and_reconstruct(queries, depth)
        return scores, rows, list(vectors)
    scores, rows = index.search(queries, depth)
    return scores, rows, [index.reconstruct_batch(np.maximum(found, 0)) for found in rows]


def _scores(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Inner products in float64, each row by itself, rounded to float32: (n, D), (D,) -> (n,)."""
    products = vectors.astype(np.float64) * query.astype(np.float64)
    return products.sum(axis=1).astype(np.float32)


def background(index: Any, queries: np.ndarray, seed: int = 0) -> np.ndarray:
    """Mean and spread of each query's scores on random rows of the index.

    They make scores of different modes and queries comparable: a caption is nearer to any text than
    an image is.

    Args:
        index: A faiss index.
        queries: (Q, D) float32.
        seed: Seed of the choice of rows.

    Returns:
        float64 (Q, 2): mean and standard deviation.
    """
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(index.ntotal)[:BACKGROUND_ROWS])
    if hasattr(index, "make_direct_map"):
        index.make_direct_map()
    vectors = index.reconstruct_batch(rows).astype(np.float64)
    scores = [vectors @ query.astype(np.float64) for query in queries]
    return np.array([(row.mean(), row.std()) for row in scores]).reshape(-1, 2)


def search_modes(
    folder: str | Path,
    queries: Sequence[Query],
    vectors: np.ndarray,
    identity: dict[str, Any],
    modes: Sequence[str] = MODES,
    k: int = 50,
    batch_size: int = 256,
    progress: bool = True,
) -> pa.Table:
    """Search an index folder with every query in every mode.

    Args:
        folder: Index folder.
        queries: The queries.
        vectors: Their embeddings, (Q, D) float32.
        identity: Identity of the encoder that made ``vectors``.
        modes: Of 'T2I' and 'T2T'.
        k: Hits per query and mode.
        batch_size: Queries per call of faiss.
        progress: Whether to show a progress bar.

    Returns:
        Table with :data:`~.records.HIT_SCHEMA` but ``key`` empty, ordered by mode, query and rank.

    Raises:
        ManifestError: If the encoder is not the index's, or the index is damaged.
        ValueError: If a mode is unknown.
    """
    check_encoder(load_card(folder), identity)
    check_modes(modes)
    tables = [HIT_SCHEMA.empty_table()]
    for mode in modes:
        index = load_index(folder, KEYS_OF_MODE[mode])
        levels = background(index, vectors)
        bar = tqdm(total=len(queries), unit="query", desc=f"search {mode}", disable=not progress)
        with bar:
            for first in range(0, len(queries), batch_size):
                part = slice(first, first + batch_size)
                found = search_rows(index, vectors[part], k, batch_size)
                tables.append(_hit_table(queries[part], mode, found, levels[part]))
                bar.update(len(found))
    return pa.concat_tables(tables)


def check_modes(modes: Sequence[str]) -> None:
    """Refuse unknown, repeated or no modes.

    Raises:
        ValueError: Naming the bad mode.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes or len(set(modes)) != len(modes):
        raise ValueError(f"search.modes is {tuple(modes)}; give one or more of {', '.join(MODES)}")


def _hit_table(
    queries: Sequence[Query],
    mode: str,
    found: list[tuple[np.ndarray, np.ndarray]],
    levels: np.ndarray,
) -> pa.Table:
    """Hits of a block of queries."""
    counts = [len(rows) for rows, _ in found]
    repeat = np.repeat(np.arange(len(queries)), counts)
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty(0, np.int64)
    scores = np.concatenate([scores for _, scores in found]) if found else np.empty(0, np.float32)
    mean, spread = levels[repeat, 0], levels[repeat, 1]
    standard = np.divide(scores - mean, spread, out=np.zeros(len(scores)), where=spread > 0)
    ranks = [np.arange(count) for count in counts]
    return pa.table(
        {
            "query_id": [queries[i].id for i in repeat],
            "concept": [queries[i].concept for i in repeat],
            "template": [queries[i].template for i in repeat],
            "mode": [mode] * len(rows),
            "row": rows,
            "key": [""] * len(rows),
            "rank": np.concatenate(ranks).astype(np.int32) if ranks else [],
            "score": scores.astype(np.float32),
            "standard_score": standard.astype(np.float32),
        },
        schema=HIT_SCHEMA,
    )
