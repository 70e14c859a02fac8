"""Rules that read a setting, such as the gate scale, from the validation split: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]

GATE_SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)
ALLOWED_DROP = 0.03


def choose_gate_scale(rows: Sequence[Row], allowed_drop: float = ALLOWED_DROP) -> float:
    """The scale of the largest target accuracy among those that keep the other families.

    Args:
        rows: ``{"scale", "target", "other"}`` for each candidate, as fractions of the validation
            split; one of them has scale 0, the base.
        allowed_drop: How far ``other`` may fall below the base's.

    Returns:
        The chosen scale; of equal targets the smaller scale.

    Raises:
        ValueError: When the base (scale 0) is not among the rows.
    """
    base = [row for row in rows if row["scale"] == 0]
    if not base:
        raise ValueError("the gate curve lacks scale 0, the base that a drop is measured from")
    floor = base[0]["other"] - allowed_drop
    kept = [row for row in rows if row["other"] >= floor - 1e-9]
    return min(kept, key=lambda row: (-row["target"], row["scale"]))["scale"]


def choose_largest(rows: Sequence[Row], by: str) -> Row:
    """The row with the largest value; of equal ones the first.

    Args:
        rows: Candidates.
        by: The key to compare.

    Raises:
        ValueError: When there are no rows or a value is no number.
    """
    if not rows:
        raise ValueError("nothing to choose from")
    for row in rows:
        if not row[by] == row[by]:
            raise ValueError(f"{by} of {row} is not a number")
    return max(rows, key=lambda row: row[by])


def harmonic_mean(first: float, second: float) -> float:
    """The harmonic mean of two fractions; 0 when either is 0."""
    return 2 * first * second / (first + second) if first > 0 and second > 0 else 0.0


def gate_curve(
    measure: Callable[[float], tuple[float, float]], scales: Sequence[float] = GATE_SCALES
) -> list[Row]:
    """Measures every candidate scale.

    Args:
        measure: Scale -> (target, other), fractions of the validation split.
        scales: Candidates; 0, the base, is added where it is missing.

    Returns:
        Rows as :func:`choose_gate_scale` takes them.
    """
    rows = []
    for scale in sorted({0.0, *map(float, scales)}):
        target, other = measure(scale)
        rows.append({"scale": scale, "target": target, "other": other})
    return rows


def choose_block_scales(
    measure: Callable[[tuple[float, ...]], tuple[float, float]],
    start: float,
    blocks: int,
    floor: float,
    scales: Sequence[float] = GATE_SCALES,
) -> tuple[tuple[float, ...], list[Row]]:
    """One scale per gated block: each block in turn, from the last to the first, by the same rule.

    The last block comes first, for it is the nearest to the embedding. A block's scale changes only
    for a larger target among those that keep the rest, so that the result is never worse than the
    one scale for all that it starts from.

    Args:
        measure: Scales, one per block -> (target, other), fractions of the validation split.
        start: The scale chosen for all blocks.
        blocks: Number of gated blocks.
        floor: ``other`` may not fall below this: the base's minus the allowed drop.
        scales: Candidates.

    Returns:
        The scales, and the rows of everything that was measured.
    """
    current = (float(start),) * blocks
    best = measure(current)
    rows: list[Row] = [{"scale": list(current), "target": best[0], "other": best[1]}]
    for block in reversed(range(blocks)):
        for scale in scales:
            tried = (*current[:block], float(scale), *current[block + 1 :])
            if tried == current:
                continue
            target, other = measure(tried)
            rows.append({"scale": list(tried), "target": target, "other": other})
            if other >= floor - 1e-9 and target > best[0]:
                best, current = (target, other), tried
    return current, rows
