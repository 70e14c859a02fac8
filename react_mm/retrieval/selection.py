"""Pure rules that turn hits into a set of pairs; each rejection is counted.

The result does not depend on the order of the hits, and selecting from a selection changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import pyarrow as pa

from react_mm.retrieval.records import CHOICE_SCHEMA, MODES

ORDERS = ("standard_score", "score")


@dataclasses.dataclass(frozen=True)
class SelectionRules:
    """Which hits become pairs.

    Attributes:
        exact_duplicates: Whether of pairs with the same image bytes only the best is kept.
        per_concept: Most pairs of a concept, best first; None for no limit.
        min_score: Smallest cosine of a hit: a number, or one per mode; None for no limit.
        held_out: Folders or lists of images that must not be selected.
        order_by: What 'best' means across queries and modes: 'standard_score' (comparable across
            modes) or 'score' (the cosine; text keys then beat image keys).
    """

    exact_duplicates: bool = True
    per_concept: int | None = 200
    min_score: float | Mapping[str, float] | None = None
    held_out: tuple[Any, ...] = ()
    order_by: str = "standard_score"

    def __post_init__(self) -> None:
        if self.per_concept is not None and self.per_concept < 1:
            raise ValueError(f"select.per_concept must be 1 or more, not {self.per_concept}")
        if self.order_by not in ORDERS:
            raise ValueError(f"select.order_by is {self.order_by!r}; known: {', '.join(ORDERS)}")
        if isinstance(self.min_score, Mapping):
            unknown = sorted(set(self.min_score) - set(MODES))
            if unknown:
                raise ValueError(f"select.min_score names the unknown mode(s) {unknown}")

    def threshold(self, mode: str) -> float:
        """The smallest cosine kept in a mode."""
        if isinstance(self.min_score, Mapping):
            return float(self.min_score.get(mode, -np.inf))
        return -np.inf if self.min_score is None else float(self.min_score)


@dataclasses.dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        pairs: Table with :data:`~.records.CHOICE_SCHEMA`, ordered by row.
        rules: Per rule in order: ``rule, before, removed, after`` in distinct pairs.
        concepts: Per concept: pairs ``hit`` (as the best concept) and ``selected``.
    """

    pairs: pa.Table
    rules: list[dict[str, Any]]
    concepts: dict[str, dict[str, int]]


def select_pairs(
    hits: pa.Table,
    pairs: pa.Table,
    rules: SelectionRules | None = None,
    held_out: Set[str] = frozenset(),
) -> Selection:
    """Apply the rules: score threshold, held-out images, exact duplicates, cap per concept.

    A pair hit by several concepts belongs to the concept of its best hit.

    Args:
        hits: Table with :data:`~.records.HIT_SCHEMA`, in any order.
        pairs: Table with :data:`~.records.PAIR_SCHEMA` that has every row that was hit once.
        rules: The rules.
        held_out: sha256 of the images that must not be selected.

    Returns:
        The selection.

    Raises:
        ValueError: If a hit's pair is missing in ``pairs``.
    """
    rules = rules or SelectionRules()
    columns = {name: hits[name].to_numpy() for name in ("row", "score", "standard_score")}
    names, concept = np.unique(hits["concept"].to_numpy().astype(str), return_inverse=True)
    mode_names = hits["mode"].to_numpy().astype(str)
    modes = np.array([MODES.index(mode) for mode in mode_names], np.int64)
    counts: list[dict[str, Any]] = []
    everything = len(np.unique(columns["row"]))

    floor = np.array([rules.threshold(mode) for mode in MODES])
    keep = columns["score"] >= floor[modes]
    best = _best_hits(columns, concept, modes, np.flatnonzero(keep), rules.order_by)
    _count(counts, "min_score", everything, len(best["row"]))
    table = _rows_of_pairs(pairs, best["row"])
    sha = table["sha256"].to_numpy().astype(str)
    hit_per_concept = np.bincount(best["concept"], minlength=len(names))

    left = np.arange(len(best["row"]))
    before = len(left)
    left = left[[sha[i] not in held_out for i in left]] if before else left
    _count(counts, "held_out", before, len(left))

    before = len(left)
    left = left[_preference(best, left)]
    if rules.exact_duplicates and before:
        left = left[np.sort(np.unique(sha[left], return_index=True)[1])]
    _count(counts, "exact_duplicates", before, len(left))

    before = len(left)
    if rules.per_concept is not None:
        left = left[_position_in_group(best["concept"][left]) < rules.per_concept]
    _count(counts, "per_concept", before, len(left))

    left = np.sort(left)
    chosen = _choice_table(table.take(pa.array(left)), best, left, names)
    kept_per_concept = np.bincount(best["concept"][left], minlength=len(names))
    summary = {
        str(name): {"hit": int(hit_per_concept[i]), "selected": int(kept_per_concept[i])}
        for i, name in enumerate(names)
    }
    return Selection(chosen, counts, summary)


def _count(counts: list[dict[str, Any]], rule: str, before: int, after: int) -> None:
    """Note a rule's effect in pairs."""
    counts.append({"rule": rule, "before": before, "removed": before - after, "after": after})


def _best_hits(
    columns: dict[str, np.ndarray],
    concept: np.ndarray,
    modes: np.ndarray,
    kept: np.ndarray,
    order_by: str,
) -> dict[str, np.ndarray]:
    """Per distinct row (ascending) its best hit, the set of its modes as bits, and its hits."""
    row, score = columns["row"][kept], columns["score"][kept]
    standard, concept, mode = columns["standard_score"][kept], concept[kept], modes[kept]
    first = score if order_by == "score" else standard
    order = np.lexsort((mode, concept, -score, -first, row))
    rows, start, count = np.unique(row[order], return_index=True, return_counts=True)
    picked = order[start]
    bits = np.zeros(len(rows), np.int64)
    np.bitwise_or.at(bits, np.searchsorted(rows, row), 1 << mode)
    return {
        "row": rows,
        "concept": concept[picked],
        "score": score[picked],
        "standard_score": standard[picked],
        "first": first[picked],
        "modes": bits,
        "hits": count,
    }


def _preference(best: dict[str, np.ndarray], left: np.ndarray) -> np.ndarray:
    """Order of ``left`` from the best pair to the worst; ties by row."""
    return np.lexsort((best["row"][left], -best["score"][left], -best["first"][left]))


def _position_in_group(groups: np.ndarray) -> np.ndarray:
    """For each element the number of earlier elements of its group."""
    order = np.argsort(groups, kind="stable")
    arranged = groups[order]
    position = np.empty(len(groups), np.int64)
    position[order] = np.arange(len(groups)) - np.searchsorted(arranged, arranged, side="left")
    return position


def _rows_of_pairs(pairs: pa.Table, rows: np.ndarray) -> pa.Table:
    """The pairs with these row numbers, in this order."""
    known = pairs["row"].to_numpy()
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known[order], rows)
    found = place < len(known)
    found[found] = known[order][place[found]] == rows[found]
    if not found.all():
        raise ValueError(f"no metadata is given for the hit row {rows[~found][0]}")
    return pairs.take(pa.array(order[place]))


def _choice_table(
    table: pa.Table, best: dict[str, np.ndarray], left: np.ndarray, names: np.ndarray
) -> pa.Table:
    """Add what selection knows to the pairs' metadata."""
    bits = best["modes"][left]
    modes = ["+".join(m for i, m in enumerate(MODES) if bit >> i & 1) for bit in bits]
    columns = {name: table[name] for name in table.column_names}
    columns["concept"] = pa.array([str(names[c]) for c in best["concept"][left]], pa.string())
    columns["modes"] = pa.array(modes, pa.string())
    columns["best_score"] = best["score"][left]
    columns["standard_score"] = best["standard_score"][left]
    columns["hits"] = best["hits"][left].astype(np.int32)
    return pa.table(columns, schema=CHOICE_SCHEMA)
