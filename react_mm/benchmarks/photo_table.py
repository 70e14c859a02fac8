"""Results of the photographs line: means, spread over seeds, bootstrap intervals, Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from react_mm.benchmarks.photo_evaluation import resampled, scores
from react_mm.manifest import atomic_path

Hits = dict[str, np.ndarray]
NAMES = {
    "base": "base",
    "plain": "plain (published recipe)",
    "no-teacher": "gates' own rate, no teacher, scale 1",
    "recommended": "**recommended**",
    "control": "control (random pairs of the pool)",
    "control-elsewhere": "control without the grocery folder",
    "linear head": "linear head",
    "linear head, teacher": "linear head, teacher",
    "linear head on features": "linear head on the trunk's 1280 features",
    "linear head on features, teacher": "linear head on the trunk's features, teacher",
}


def summarise(
    hits: Mapping[str, Sequence[Hits]],
    labels: np.ndarray,
    owner: np.ndarray,
    curve: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Turns what each run got right into numbers.

    Args:
        hits: Arm -> one entry per seed (:meth:`PhotoSplit.hits`); ``base`` has one.
        labels: Grocery label of each image.
        owner: Image of each caption.
        curve: Rows ``seed, scale, ...`` of the recommended recipe.

    Returns:
        ``arms``: arm -> ``seeds`` (scores of each), ``mean``, ``sd`` over the seeds, ``interval``
        (95 % bootstrap over images of the mean over seeds) and ``gain`` (the same of the paired
        difference from the base); ``gate_curve``: the curve averaged over the seeds.
    """
    draws = {name: resampled(_mean(runs), owner) for name, runs in hits.items()}
    arms = {}
    for name, runs in hits.items():
        seeds = [scores(run, labels) for run in runs]
        arms[name] = {
            "seeds": seeds,
            "mean": {k: float(np.mean([s[k] for s in seeds])) for k in seeds[0]},
            "sd": {k: _sd([s[k] for s in seeds]) for k in seeds[0]},
            "interval": {k: _interval(v) for k, v in draws[name].items()},
            "gain": {k: _interval(v - draws["base"][k]) for k, v in draws[name].items()},
        }
    scales = sorted({row["scale"] for row in curve})
    keys = ("domain", "coco_t2i", "coco_i2t")
    averaged = [
        {"scale": s, **{k: float(np.mean([r[k] for r in curve if r["scale"] == s])) for k in keys}}
        for s in scales
    ]
    return {
        "arms": arms,
        "gate_curve": averaged,
        "images": {"domain": len(labels), "coco": int(owner[-1]) + 1, "captions": len(owner)},
    }


def write_table(path: Path, results: Mapping[str, Any]) -> None:
    """Writes the tables as Markdown, atomically."""
    count = results["images"]
    gates = results["choices"]["gates"]
    lines = [
        f"{len(results['seeds'])} seeds; {count['domain']} grocery test photos, {count['coco']} "
        f"COCO val photos with {count['captions']} captions. Mean ± standard deviation over the "
        "seeds, then the 95 % bootstrap interval over images. Per cent.",
        "",
        "| | grocery, 43 names | mean of classes | COCO T2I R@5 | COCO I2T R@5 |",
        "|---|---|---|---|---|",
    ]
    order = list(NAMES)
    for name in sorted(results["arms"], key=lambda n: (order.index(n) if n in NAMES else 99, n)):
        arm = results["arms"][name]
        mean, sd, interval = arm["mean"], arm["sd"], arm["interval"]
        lines.append(
            f"| {NAMES.get(name, name)} | {_cell('domain', mean, sd, interval)} "
            f"| {_cell('domain_mean_class', mean, sd)} | {_cell('coco_t2i', mean, sd, interval)} "
            f"| {_cell('coco_i2t', mean, sd)} |"
        )
    lines += [
        "",
        f"Recommended recipe ({gates['iterations']} iterations; scale {gates['gate_scale']:g} was "
        "chosen on the validation data) over the gate scale:",
        "",
        "| gate scale | grocery | COCO T2I R@5 | COCO I2T R@5 |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['scale']:g} | {100 * row['domain']:.1f} | {100 * row['coco_t2i']:.1f} "
        f"| {100 * row['coco_i2t']:.1f} |"
        for row in results["gate_curve"]
    ]
    lines += [
        "",
        "Closed-form heads of the base on the validation data (grocery val, COCO train):",
        "",
        "| head | temperature | centred | COCO T2I R@5 | COCO I2T R@5 | grocery |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['kind']} | {row['temperature']:g} | {'yes' if row['centred'] else 'no'} "
        f"| {100 * row['coco_t2i']:.1f} | {100 * row['coco_i2t']:.1f} "
        f"| {100 * row['domain']:.1f} |"
        for row in results["base_heads"]
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _mean(runs: Sequence[Hits]) -> Hits:
    return {key: np.mean([run[key] for run in runs], axis=0) for key in runs[0]}


def _sd(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _interval(draws: np.ndarray) -> list[float]:
    return [float(q) for q in np.quantile(draws, (0.025, 0.975))]


def _cell(
    key: str,
    mean: Mapping[str, float],
    sd: Mapping[str, float | None],
    interval: Mapping[str, Sequence[float]] | None = None,
) -> str:
    text = f"{100 * mean[key]:.1f}"
    if sd[key] is not None:
        text += f" ± {100 * sd[key]:.1f}"
    if interval is not None:
        low, high = interval[key]
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    return text
