"""One table of any models on any tasks: Markdown, CSV, JSON, and bars with intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from react_mm.manifest import atomic_path, write_json
from react_mm.reporting.table import shown

Result = Mapping[str, Any]


def write_comparison(result: Result, folder: str | Path) -> list[Path]:
    """Writes ``table.md``, ``table.csv``, ``table.json`` and ``bars.png``.

    Args:
        result: As from :func:`react_mm.evaluation.comparison_table.tabulate`.
        folder: Where to.

    Returns:
        The files.
    """
    folder = Path(folder)
    texts = {"table.md": as_markdown(result), "table.csv": as_csv(result)}
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(folder / "table.json", result)
    with atomic_path(folder / "bars.png") as temporary:
        _bars(result).savefig(temporary, dpi=140, format="png")
    return [folder / name for name in (*texts, "table.json", "bars.png")]


def as_markdown(result: Result) -> str:
    """The table with a row per task and metric, a column per model, and the published values.

    Metrics that were kept image by image are per cent with their interval, below it the difference
    to the reference; others are shown as they came.
    """
    models, reference = result["models"], result["reference"]
    settings = result["bootstrap"]
    by_row: dict[tuple[str, str], dict[str, Mapping]] = {}
    for row in result["rows"]:
        by_row.setdefault((row["task"], row["metric"]), {})[row["model"]] = row
    lines = [
        "| task | metric | images | " + " | ".join(map(_escaped, models)) + " |",
        "|---|---|---:|" + "---:|" * len(models),
    ]
    for (task, metric), cells in by_row.items():
        images = next((c["images"] for c in cells.values() if c["images"]), None)
        texts = [_cell(cells.get(model)) for model in models]
        head = f"| {_escaped(task)} | {metric} | {shown(images)} | "
        lines.append(head + " | ".join(texts) + " |")
    lines += [
        "",
        f"Per cent with {100 * settings['level']:g} % intervals by bootstrap over images "
        f"({settings['draws']} draws, seed {settings['seed']} for the first task and one more for "
        f"each next); in the second line the paired difference to {_escaped(reference)} in points.",
    ]
    if result["published"]:
        lines += [
            "",
            "Published values, not measured here:",
            "",
            "| task | base | method | value | source |",
            "|---|---|---|---:|---|",
        ]
        lines += [
            f"| {_escaped(row['task'])} | {row['base']} | {row['method']} | {row['value']} "
            f"| {row['source']} |"
            for row in result["published"]
        ]
    return "\n".join(lines) + "\n"


def as_csv(result: Result) -> str:
    """The rows, one per task, metric and model, as fractions."""
    ends = [f"{kind}_{end}" for kind in ("interval", "difference") for end in ("low", "high")]
    header = ["task", "metric", "model", "value", *ends[:2], "difference", *ends[2:], "images"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*header, "cell"], lineterminator="\n")
    writer.writeheader()
    for row in result["rows"]:
        interval, difference = row["interval"] or {}, row["difference"] or {}
        flat = {key: row[key] for key in ("task", "metric", "model", "value", "images", "cell")}
        flat |= {f"interval_{end}": interval.get(end) for end in ("low", "high")}
        flat |= {f"difference_{end}": difference.get(end) for end in ("low", "high")}
        writer.writerow(flat | {"difference": difference.get("value")})
    return stream.getvalue()


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    if row["interval"] is None:
        return shown(row["value"])
    interval, change = row["interval"], row["difference"]
    text = f"{100 * row['value']:.1f} [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
    if change is not None:
        ends = f"[{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]"
        text += f"<br>{100 * change['value']:+.1f} {ends}"
    return text


def _bars(result: Result) -> Figure:
    """Headlines that are fractions with intervals, one group of bars per task."""
    rows = [row for row in result["rows"] if row["headline"] and row["interval"]]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    models = result["models"]
    figure = Figure(
        figsize=(max(5.0, 1.2 + len(tasks) * (0.5 + 0.25 * len(models))), 4.2), layout="constrained"
    )
    axes = figure.subplots()
    width = 0.8 / max(len(models), 1)
    for offset, model in enumerate(models):
        own = [row for row in rows if row["model"] == model]
        places = [tasks.index(row["task"]) + (offset + 0.5) * width - 0.4 for row in own]
        heights = [100 * row["value"] for row in own]
        # a percentile interval need not hold the value itself
        spread = [
            [max(0.0, h - 100 * r["interval"]["low"]) for h, r in zip(heights, own, strict=True)],
            [max(0.0, 100 * r["interval"]["high"] - h) for h, r in zip(heights, own, strict=True)],
        ]
        axes.bar(places, heights, 0.92 * width, yerr=spread, capsize=2, label=model)
    axes.set_xticks(range(len(tasks)), tasks, rotation=30 if len(tasks) > 3 else 0, ha="center")
    axes.set_ylabel("%")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _escaped(text: str) -> str:
    return str(text).replace("|", "\\|")
