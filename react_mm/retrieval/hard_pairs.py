"""Hard pairs: for each pair of the retrieved set, others that are near in both modalities.

After HELIP (arXiv 2305.05208): the score of two pairs is the cosine of their images times the
cosine of their texts; a cosine above the duplicate threshold counts as zero, and so does one below
zero (the product of two negative cosines is no nearness). The embeddings are those that retrieval
has stored.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from react_mm.manifest import Manifest, ManifestError, sha256_file
from react_mm.retrieval.export import PAIRS_NAME
from react_mm.retrieval.records import read_parquet, write_parquet
from react_mm.retrieval.stored_embeddings import StoredEmbeddings

TABLE_NAME = "hard_pairs.parquet"
MAX_PAIRS = 2**32 - 1
_COLUMNS = 16_384  # candidates scored at once


@dataclasses.dataclass(frozen=True)
class HardPairSettings:
    """How hard pairs are mined.

    Attributes:
        k: Hard pairs per pair, at most; only such with a score above zero.
        duplicate: Cosines above this count as zero: duplicates, and the pair itself.
        candidates: Search among a random subset of this size; None: among all. A search among all
            of N pairs costs 4 N^2 D operations.
        redraw: A new subset is drawn after this many pairs.
        seed: Of the subsets.
        block: Pairs searched for at once; no influence on the result.
    """

    k: int = 10
    duplicate: float = 0.98
    candidates: int | None = None
    redraw: int = 300_000
    seed: int = 0
    block: int = 1024

    def __post_init__(self) -> None:
        for name in ("k", "candidates", "redraw", "block"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"hard_pairs.{name} must be 1 or more, not {value}")
        if not 0 < self.duplicate <= 1:
            raise ValueError(f"hard_pairs.duplicate must lie in (0, 1], not {self.duplicate}")


def mine_hard_pairs(
    image: np.ndarray, text: np.ndarray, settings: HardPairSettings, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the hard pairs of every pair, block by block: no N x N matrix is ever held.

    Args:
        image: float (N, D), L2-normalised image embeddings.
        text: float (N, E), L2-normalised text embeddings of the same pairs.
        settings: How to mine.
        progress: Whether to show a progress bar.

    Returns:
        Pairs int64 (N, k), hardest first, -1 where there are fewer; their scores float32 (N, k), 0
        there. Of equal scores the lower row comes first.

    Raises:
        ValueError: If the two have different numbers of rows, or too many.
    """
    count = len(image)
    if len(text) != count or count > MAX_PAIRS:
        raise ValueError(f"hard pairs of {count} images and {len(text)} texts")
    found = np.full((count, settings.k), -1, np.int64)
    scores = np.zeros((count, settings.k), np.float32)
    with tqdm(total=count, unit="pair", desc="hard pairs", disable=not progress) as bar:
        for start in range(0, count, settings.redraw):
            stop = min(start + settings.redraw, count)
            rows = _candidates(count, settings, start // settings.redraw)
            for first in range(start, stop, settings.block):
                part = slice(first, min(first + settings.block, stop))
                best = _best(image, text, part, rows, settings)
                scores[part] = (best >> 32).astype(np.int32).view(np.float32)
                found[part] = np.where(best > 0, MAX_PAIRS - (best & MAX_PAIRS), -1)
                bar.update(part.stop - part.start)
    return found, scores


def _candidates(count: int, settings: HardPairSettings, draw: int) -> np.ndarray:
    """Rows that are searched, int64, ascending."""
    if settings.candidates is None or settings.candidates >= count:
        return np.arange(count)
    generator = np.random.default_rng([settings.seed, draw])
    return np.sort(generator.choice(count, settings.candidates, replace=False))


def _best(
    image: np.ndarray,
    text: np.ndarray,
    part: slice,
    rows: np.ndarray,
    settings: HardPairSettings,
) -> np.ndarray:
    """The k best of ``part`` among ``rows`` as sortable numbers.

    Returns:
        int64 (Q, k), descending: the bits of the score above those of MAX_PAIRS - row; 0 for none.
        Bits of floats above zero order as the floats do.
    """
    own = np.arange(part.start, part.stop)
    own_image, own_text = (a[part].astype(np.float32) for a in (image, text))
    best = np.zeros((len(own), settings.k), np.int64)
    for first in range(0, len(rows), _COLUMNS):
        block = rows[first : first + _COLUMNS]
        score = _near(own_image, image[block], settings.duplicate)
        score *= _near(own_text, text[block], settings.duplicate)
        score[own[:, None] == block] = 0
        numbers = score.view(np.int32).astype(np.int64) << 32
        numbers |= np.where(score > 0, MAX_PAIRS - block, 0)
        numbers = np.concatenate([best, numbers], axis=1)
        best = np.partition(numbers, -settings.k, axis=1)[:, -settings.k :]
    return -np.sort(-best, axis=1)


def _near(own: np.ndarray, others: np.ndarray, duplicate: float) -> np.ndarray:
    """Cosines float32 (Q, C), those of duplicates and below zero as zero."""
    cosine = own @ others.astype(np.float32).T
    cosine[cosine > duplicate] = 0
    return np.maximum(cosine, 0, out=cosine)


def mine_retrieved(
    work_dir: str | Path, settings: HardPairSettings, progress: bool = True
) -> tuple[Manifest, bool]:
    """Mines the retrieved set of a retrieval folder into ``hard_pairs/``.

    ``hard_pairs.parquet`` has one row per pair of ``retrieved/pairs.parquet``, in its order:
    ``pair`` (``SHARD-STEM/KEY``, as :class:`react_mm.PairDataset` names it), ``hard`` (rows of this
    table, hardest first) and ``score``. ``manifest.json`` is its card.

    Args:
        work_dir: With ``embeddings/`` and ``retrieved/``.
        settings: How to mine.
        progress: Whether to show a progress bar.

    Returns:
        The manifest, and whether everything was found done.

    Raises:
        ManifestError: If embeddings or retrieved set are missing, unfinished or do not fit.
    """
    root = Path(work_dir)
    retrieved, store = Manifest.load(root / "retrieved"), StoredEmbeddings(root / "embeddings")
    if not retrieved.complete or PAIRS_NAME not in retrieved.files:
        raise ManifestError(f"{root / 'retrieved'} is unfinished; run the stage 'export'")
    inputs = {
        "embeddings": sha256_file(store.folder / "manifest.json"),
        "pairs": retrieved.files[PAIRS_NAME]["sha256"],
    }
    recorded = {k: v for k, v in dataclasses.asdict(settings).items() if k != "block"}
    manifest = Manifest(root / "hard_pairs", "hard-pairs", recorded, inputs)
    if manifest.is_current():
        return manifest, True
    pairs = read_parquet(root / "retrieved" / PAIRS_NAME, columns=["shard", "key", "row"])
    rows = pairs["row"].to_numpy()
    image, text = (_stored(store, modality, rows) for modality in ("image", "text"))
    found, scores = mine_hard_pairs(image, text, settings, progress)
    kept = found >= 0
    table = _table(pairs, found, scores)
    write_parquet(manifest.folder / TABLE_NAME, table)
    manifest.add(manifest.folder / TABLE_NAME, table.num_rows)
    manifest.facts = {
        "pairs": table.num_rows,
        "with_hard_pairs": int(kept.any(1).sum()),
        "hard_pairs": int(kept.sum()),
        "median_score": float(np.median(scores[kept])) if kept.any() else None,
        "encoder": store.identity,
    }
    manifest.save(complete=True)
    return manifest, False


def _stored(store: StoredEmbeddings, modality: str, rows: np.ndarray) -> np.ndarray:
    """Stored embeddings as they lie on disk, float16 (N, D): half the memory of float32."""
    parts = [store.take(modality, rows[i : i + 65536]) for i in range(0, len(rows), 65536)]
    return np.concatenate([part.astype(np.float16) for part in parts])


def _table(pairs: pa.Table, found: np.ndarray, scores: np.ndarray) -> pa.Table:
    """Names, hard pairs and scores as :func:`mine_retrieved` describes them."""
    kept = found >= 0
    shards, keys = pairs["shard"].to_pylist(), pairs["key"].to_pylist()
    names = [f"{Path(shard).stem}/{key}" for shard, key in zip(shards, keys, strict=True)]
    ends = pa.array(np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int64))
    lists = pa.LargeListArray.from_arrays
    return pa.table(
        {
            "pair": pa.array(names, pa.string()),
            "hard": lists(ends, pa.array(found[kept].astype(np.int32))),
            "score": lists(ends, pa.array(scores[kept])),
        }
    )
