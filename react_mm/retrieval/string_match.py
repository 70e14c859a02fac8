"""Pairs whose caption holds a class name: the plainest retrieval, as a comparison.

REAL ("The Neglected Tails in Vision-Language Models", CVPR 2024) retrieves by string match and
balances the classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set

import numpy as np
import pyarrow as pa

from react_mm.retrieval.class_names import NamePattern
from react_mm.retrieval.records import CHOICE_SCHEMA, PAIR_SCHEMA
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


def match_pairs(
    store: StoredEmbeddings,
    names: Sequence[str],
    per_concept: int,
    seed: int = 0,
    excluded: Set[str] = frozenset(),
) -> pa.Table:
    """Draws pairs by their captions alone.

    Args:
        store: The embedded pool; only its metadata is read.
        names: Class names.
        per_concept: Most pairs of a name, drawn at random.
        seed: Of the draw.
        excluded: sha256 of images that are passed over.

    Returns:
        Table with :data:`~.records.CHOICE_SCHEMA`, ordered by row; an image comes once, under the
        first name of its caption. No scores, for nothing was searched.

    Raises:
        ValueError: If no caption holds a name.
    """
    pattern = NamePattern(names)
    of_name: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    block = 4096
    for first in range(0, store.rows, block):
        rows = np.arange(first, min(first + block, store.rows))
        table = store.metadata(rows)
        columns = zip(rows, table["caption"].to_pylist(), table["sha256"].to_pylist(), strict=True)
        for row, caption, sha in columns:
            found = pattern.found(caption)
            if found and sha not in excluded and sha not in seen:
                seen.add(sha)
                of_name[found[0]].append(int(row))
    if not of_name:
        raise ValueError(f"no caption of the pool holds one of {len(names)} names")
    generator, chosen = np.random.default_rng(seed), {}
    for name in names:
        rows = of_name.get(name, [])
        for row in generator.permutation(rows)[:per_concept] if rows else []:
            chosen[int(row)] = name
    rows = np.array(sorted(chosen), np.int64)
    table = store.metadata(rows)
    columns = {name: table[name] for name in PAIR_SCHEMA.names}
    columns["concept"] = pa.array([chosen[int(row)] for row in rows], pa.string())
    columns["modes"] = pa.array(["string"] * len(rows), pa.string())
    columns["best_score"] = columns["standard_score"] = pa.nulls(len(rows), pa.float32())
    columns["hits"] = np.ones(len(rows), np.int32)
    return pa.table(columns, schema=CHOICE_SCHEMA)
