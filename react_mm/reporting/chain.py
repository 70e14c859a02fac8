"""The chain's picture: every metric of the table as a group of bars, one bar per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from react_mm.manifest import atomic_path

COLOURS = ("#a8b0ba", "#0f766e", "#d08a2e", "#6d7fb3", "#9d5c63", "#4f7942")
INK, FAINT = "#1f2933", "#d9dee4"


def write_picture(rows: Sequence[Mapping[str, Any]], arms: Sequence[str], path: Path) -> Path:
    """Draws the metrics that are fractions, in per cent, with their intervals where there are any.

    Args:
        rows: Of :func:`react_mm.evaluation.comparison_table.tabulate`.
        arms: In the order of the bars.
        path: PNG file to write.

    Returns:
        The file.
    """
    shown = [row for row in rows if row["value"] is not None and 0 <= row["value"] <= 1]
    groups = list(dict.fromkeys((row["task"], row["metric"]) for row in shown))
    value = {(row["task"], row["metric"], row["model"]): row for row in shown}
    figure = Figure(figsize=(max(5.0, 1.2 + 1.5 * len(groups)), 4.0), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(arms)
    for number, arm in enumerate(arms):
        own = [(i, value[*g, arm]) for i, g in enumerate(groups) if (*g, arm) in value]
        places = [i + (number + 0.5) * width - 0.4 for i, _ in own]
        heights = [100 * row["value"] for _, row in own]
        colour = COLOURS[number % len(COLOURS)]
        drawn = axes.bar(places, heights, 0.92 * width, label=arm, color=colour)
        axes.bar_label(drawn, fmt="%.1f", fontsize=7.5, padding=2, color=INK)
        for place, (_, row) in zip(places, own, strict=True):
            if row["interval"]:
                ends = [100 * row["interval"]["low"], 100 * row["interval"]["high"]]
                axes.plot([place, place], ends, color=INK, lw=1)
    labels = [f"{task}\n{metric.rpartition('/')[2]}" for task, metric in groups]
    axes.set_xticks(range(len(groups)), labels, fontsize=8)
    axes.set_ylabel("%")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, ncols=min(len(arms), 4))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=140, format="png")
    return path
