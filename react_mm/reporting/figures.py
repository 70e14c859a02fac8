"""Figures of the report as inline SVG: grouped bars and the curve over the gate scale."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from react_mm.reporting.results import ARMS, METRICS, flatten

COLOURS = {"before": "#a8b0ba", "after": "#0f766e", "plain": "#d08a2e", "control": "#6d7fb3"}
INK, FAINT = "#1f2933", "#d9dee4"
SHORT = {
    "zero_shot": "zero-shot",
    "gt_box": "GT-box",
    "miou": "mIoU",
    "ap50": "AP50",
}


def bars(results: dict[str, Any]) -> str:
    """Draws target and other metrics as two panels of grouped bars.

    Args:
        results: The demo's results.

    Returns:
        A ``data:`` address of an SVG picture.
    """
    groups = {
        "Target family (what was asked for)": [m for m in METRICS if _is_target(m)],
        "Other families (what may be forgotten)": [m for m in METRICS if not _is_target(m)],
    }
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    width = 0.2
    for panel, (title, metrics) in zip(panels, groups.items(), strict=True):
        for offset, arm in enumerate(ARMS):
            flat = flatten(results[arm])
            places = [index + (offset - 1.5) * width for index in range(len(metrics))]
            heights = [100 * flat[metric] for metric in metrics]
            drawn = panel.bar(places, heights, width * 0.92, label=arm, color=COLOURS[arm])
            panel.bar_label(drawn, fmt="%.0f", fontsize=7.5, padding=1.5, color=INK)
        labels = [SHORT[metric.split(".")[0]] for metric in metrics]
        panel.set_xticks(range(len(metrics)), labels, fontsize=10)
        panel.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
        panel.set_ylim(0, 108)
        _calm(panel)
    panels[0].set_ylabel("%")
    panels[1].legend(ncols=4, frameon=False, fontsize=9, loc="upper right", handlelength=1.0)
    return _address(figure)


def gate_curve(points: Sequence[dict[str, Any]], chosen: float | None) -> str:
    """Draws accuracy over the gate scale, target and other families.

    Args:
        points: Rows with ``scale``, ``target`` and ``other`` (fractions).
        chosen: The scale that was chosen, marked by a line.

    Returns:
        A ``data:`` address of an SVG picture.
    """
    figure = Figure(figsize=(5.2, 3.1), layout="constrained")
    panel = figure.subplots()
    points = sorted(points, key=lambda point: point["scale"])
    scales = [point["scale"] for point in points]
    ends = [points[-1]["target"], points[-1]["other"]]
    spread = max(0.0, 7 - 100 * abs(ends[0] - ends[1])) / 2 * (1 if ends[0] >= ends[1] else -1)
    for key, colour, shift in (
        ("target", COLOURS["after"], spread),
        ("other", COLOURS["control"], -spread),
    ):
        values = [100 * point[key] for point in points]
        panel.plot(scales, values, "o-", color=colour, lw=2, ms=5)
        panel.annotate(
            key,
            (scales[-1], values[-1]),
            xytext=(7, -3 + 1.6 * shift),
            textcoords="offset points",
            color=colour,
            fontsize=9.5,
            fontweight="bold",
        )
    if chosen is not None:
        panel.axvline(chosen, color=INK, lw=1, ls=":")
        panel.annotate(
            f"chosen: {chosen:g}",
            (chosen, 3),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=INK,
        )
    panel.set_xlabel("gate scale at inference (0 = plain CLIP)")
    panel.set_ylabel("zero-shot accuracy, %")
    panel.set_ylim(0, 102)
    panel.set_xlim(-0.03, max(scales) * 1.17)
    _calm(panel)
    return _address(figure)


def _is_target(metric: str) -> bool:
    return metric.endswith((".target", ".novel"))


def _calm(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(FAINT)
    panel.tick_params(colors=INK, length=0)
    panel.grid(axis="y", color=FAINT, lw=0.6)
    panel.set_axisbelow(True)


def _address(figure: Figure) -> str:
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "react_mm", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode()
