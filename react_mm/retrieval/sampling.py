"""A random part of the pool, for general images and as a control of the same size."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Set
from typing import Any

import numpy as np
import pyarrow as pa

from react_mm.retrieval.records import CHOICE_SCHEMA, PAIR_SCHEMA
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


@dataclasses.dataclass(frozen=True)
class SampleSettings:
    """One random set.

    Attributes:
        name: Name of its folder.
        number: How many pairs, or 'equal' for as many as were selected.
        seed: Seed of the choice.
        exclude: Folders or lists of images that must not be in it, beside the held-out ones.
    """

    name: str
    number: int | str = "equal"
    seed: int = 0
    exclude: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\") or self.name.startswith("."):
            raise ValueError(f"sample.name {self.name!r} cannot be the name of a folder")
        if self.number != "equal" and (not isinstance(self.number, int) or self.number < 1):
            raise ValueError(f"sample.number must be 'equal' or 1 or more, not {self.number!r}")


def sample_pairs(
    store: StoredEmbeddings,
    number: int,
    seed: int,
    excluded: Set[str] = frozenset(),
    exact_duplicates: bool = True,
) -> pa.Table:
    """Draw pairs without replacement.

    Args:
        store: The embedded pool.
        number: How many; fewer come back when the pool has fewer.
        seed: Seed of the choice.
        excluded: sha256 of images that are passed over.
        exact_duplicates: Whether repeated images are passed over.

    Returns:
        Table with :data:`~.records.CHOICE_SCHEMA`, ordered by row; nothing is known of concepts.
    """
    order = np.random.default_rng(seed).permutation(store.rows)
    taken: list[np.ndarray] = []
    seen: set[bytes] = set()
    count, block = 0, max(1024, number)
    for first in range(0, store.rows, block):
        rows = order[first : first + block]
        keep = []
        for row, sha in zip(rows, store.metadata(rows)["sha256"].to_pylist(), strict=True):
            digest = hashlib.blake2b(sha.encode(), digest_size=16).digest()
            if count == number or sha in excluded or (exact_duplicates and digest in seen):
                continue
            seen.add(digest)
            keep.append(row)
            count += 1
        taken.append(np.array(keep, np.int64))
        if count == number:
            break
    rows = np.sort(np.concatenate(taken))
    table = store.metadata(rows)
    columns = {name: table[name] for name in PAIR_SCHEMA.names}
    columns["concept"] = columns["modes"] = pa.array([""] * len(rows), pa.string())
    columns["best_score"] = columns["standard_score"] = pa.nulls(len(rows), pa.float32())
    columns["hits"] = np.zeros(len(rows), np.int32)
    return pa.table(columns, schema=CHOICE_SCHEMA)
