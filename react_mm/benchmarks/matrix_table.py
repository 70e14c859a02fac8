"""The customization table as Markdown and JSON, its frontier, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from react_mm.benchmarks.photo_rows import ROWS
from react_mm.manifest import atomic_path, write_json
from react_mm.reporting.frontier import write_frontier

KEPT_GAIN, MEAN_LOSS, EXCLUDED_LOSS = 0.9, 0.01, 0.05


def goal(arms: Mapping[str, Any], scale: float, plain: str = "plain @ 1") -> dict[str, Any] | None:
    """Whether the teacher keeps the plain row's gain and what the base knew.

    Args:
        arms: Rows as :func:`react_mm.benchmarks.photo_table.summarise` gives them.
        scale: The chosen scale of the row ``teacher``.
        plain: The row to compare with.

    Returns:
        ``kept``: share of the plain row's gain in the domain, None where it gains nothing;
        ``loss``: points of COCO recall lost (fraction, positive is worse) and its paired
        ``interval``; ``met``. None without the rows.
    """
    teacher = arms.get(f"teacher @ {scale:g}")
    if teacher is None or plain not in arms:
        return None
    base = arms["base"]["mean"]
    gain = arms[plain]["mean"]["domain"] - base["domain"]
    kept = (teacher["mean"]["domain"] - base["domain"]) / gain if gain > 0 else None
    loss = base["coco_t2i"] - teacher["mean"]["coco_t2i"]
    low, high = teacher["gain"]["coco_t2i"]
    met = kept is not None and kept >= KEPT_GAIN and loss <= MEAN_LOSS and -low < EXCLUDED_LOSS
    return {
        "plain": plain,
        "kept": kept,
        "loss": loss,
        "interval": [-high, -low],
        "met": bool(met),
    }


def frontier_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Points of the picture: every row over its scales, averaged over seeds; heads as points."""
    curve, found = results["curve"], []
    for name in dict.fromkeys(row["row"] for row in curve):
        own = [row for row in curve if row["row"] == name]
        for scale in sorted({row["scale"] for row in own}):
            at = [row for row in own if row["scale"] == scale]
            found.append(_point(ROWS[name].title, scale, at))
    for name, arm in results["arms"].items():
        if "@" not in name:
            found.append(_point(name, None, [arm["mean"]]))
    return found


def _point(model: str, scale: float | None, rows: list[Mapping[str, float]]) -> dict[str, Any]:
    mean = {k: float(np.mean([r[k] for r in rows])) for k in ("domain", "coco_t2i")}
    return {"model": model, "scale": scale, "domain": mean["domain"], "general": mean["coco_t2i"]}


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Writes ``results.json``, ``results.md``, ``frontier.json`` and ``frontier.svg``."""
    scale = results["choices"]["scales"].get("teacher", {}).get("scale", 1.0)
    results["goal"] = goal(results["arms"], scale)
    write_json(folder / "results.json", results)
    rows = frontier_rows(results)
    write_json(folder / "frontier.json", rows)
    write_frontier(rows, folder / "frontier.svg")
    with atomic_path(folder / "results.md") as temporary:
        temporary.write_text(markdown(results), encoding="utf-8")


def markdown(results: Mapping[str, Any]) -> str:
    """The table."""
    count, length = results["images"], results["choices"]["iterations"]
    spent = results["cpu_seconds"]
    names = " (class names struck out of the captions)" if results["struck"] else ""
    lines = [
        f"{results['domain']}{names}: {len(results['seeds'])} seed(s), {length} iterations, "
        f"{results['retrieved']['pairs']} retrieved pairs; {count['domain']} test photos, "
        f"{count['coco']} COCO photos with {count['captions']} captions. Mean ± standard deviation "
        "over the seeds, (95 % bootstrap interval over images). `change`: paired difference of "
        "COCO T2I R@5 from the base. Per cent; s: processor seconds of one training (one thread).",
        "",
        f"| | scale | {results['domain']} | mean of classes | COCO T2I R@5 | change | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, arm in sorted(results["arms"].items(), key=lambda item: _place(item[0])):
        row, _, scale = name.partition(" @ ")
        title = ROWS[row].title if row in ROWS else row
        chosen = results["choices"]["scales"].get(row, {}).get("scale")
        mark = " (chosen)" if scale and chosen is not None and float(scale) == chosen else ""
        seconds = [v for k, v in spent.items() if k.startswith(f"{row} {length}i ")]
        lines.append(
            f"| {title} | {scale}{mark} | {_cell(arm, 'domain')} | "
            f"{_cell(arm, 'domain_mean_class')} | {_cell(arm, 'coco_t2i')} | {_change(arm)} | "
            f"{np.mean(seconds):.0f} |"
            if seconds
            else f"| {title} | {scale} | {_cell(arm, 'domain')} | "
            f"{_cell(arm, 'domain_mean_class')} | {_cell(arm, 'coco_t2i')} | {_change(arm)} | |"
        )
    if results["dense"]:
        lines += ["", "| dense, coco_mini val | GT-box accuracy | mIoU |", "|---|---|---|"]
        for name, tasks in sorted(results["dense"].items(), key=lambda item: _place(item[0])):
            row, _, scale = name.partition(" @ ")
            title = f"{ROWS[row].title}, scale {scale}" if row in ROWS else row
            lines.append(f"| {title} | {_spread(tasks['gt_box'])} | {_spread(tasks['miou'])} |")
    found = results["goal"]
    if found:
        low, high = found["interval"]
        lines += [
            "",
            f"Goal {'met' if found['met'] else 'missed'}: the teacher keeps {_kept(found)} of the "
            "plain row's gain and loses "
            f"{100 * found['loss']:.1f} points of COCO T2I R@5 ({100 * low:.1f} to "
            f"{100 * high:.1f}).",
        ]
    return "\n".join(lines) + "\n"


def _cell(arm: Mapping[str, Any], key: str) -> str:
    text = f"{100 * arm['mean'][key]:.1f}"
    if arm["sd"][key] is not None:
        text += f" ± {100 * arm['sd'][key]:.1f}"
    if key in arm["interval"]:
        low, high = arm["interval"][key]
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    return text


def _place(arm: str) -> tuple[int, str]:
    """The base first, then what trains nothing of the model, then the rows in their order."""
    row = arm.partition(" @ ")[0]
    order = ["base", *ROWS]
    return (2 + order.index(row) if row in ROWS else int(row != "base"), arm)


def _kept(found: Mapping[str, Any]) -> str:
    return "nothing (there is none)" if found["kept"] is None else f"{100 * found['kept']:.0f} %"


def _change(arm: Mapping[str, Any]) -> str:
    low, high = arm["gain"]["coco_t2i"]
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _spread(values: list[float]) -> str:
    shown = [v * (100 if max(values) <= 1 else 1) for v in values]
    spread = f" ± {np.std(shown, ddof=1):.1f}" if len(shown) > 1 else ""
    return f"{np.mean(shown):.1f}{spread}"
