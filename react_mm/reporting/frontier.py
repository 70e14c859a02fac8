"""The frontier of customizing without forgetting: domain accuracy against general retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from react_mm.manifest import atomic_path

FIELDS = ("model", "scale", "domain", "general")


def write_frontier(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    domain: str = "accuracy in the domain (%)",
    general: str = "general image-text retrieval, R@5 (%)",
) -> Path:
    """Draws a line through the scales of each model; up is the domain, right is what was kept.

    Args:
        rows: ``model`` (name), ``scale`` (gate scale, or share of the interpolation; None where
            there is none), ``domain`` and ``general`` (fractions).
        path: ``.png``, ``.svg`` or ``.pdf``.
        domain: Label of the upward axis.
        general: Label of the axis to the right.

    Returns:
        The path written.

    Raises:
        ValueError: If there are no rows, or one lacks a field.
    """
    if not rows:
        raise ValueError("the frontier has no rows")
    for row in rows:
        missing = [field for field in FIELDS if field not in row]
        if missing:
            raise ValueError(f"frontier row {dict(row)} lacks {', '.join(missing)}")
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        own.sort(key=lambda row: -1.0 if row["scale"] is None else row["scale"])
        x = [100 * row["general"] for row in own]
        y = [100 * row["domain"] for row in own]
        axes.plot(x, y, marker="o", markersize=4, linewidth=1.4, label=name)
        for row, across, up in zip(own, x, y, strict=True):
            if row["scale"] is not None and len(own) > 1:
                axes.annotate(
                    f"{row['scale']:g}",
                    (across, up),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=7,
                )
    axes.set_xlabel(general)
    axes.set_ylabel(domain)
    axes.grid(color="#d9dee4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.lstrip(".") or "png")
    return path


def undominated(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that no other row beats in one of ``domain`` and ``general`` and equals in the rest.

    Returns:
        Sorted by ``general``.
    """
    kept = [
        row
        for row in rows
        if not any(
            other["domain"] >= row["domain"]
            and other["general"] >= row["general"]
            and (other["domain"], other["general"]) != (row["domain"], row["general"])
            for other in rows
        )
    ]
    return sorted(kept, key=lambda row: row["general"])
