"""Numbers of a comparison: values, bootstrap intervals, paired differences, means over tasks."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from react_mm.evaluation.bootstrap import DRAWS, LEVEL, SEED, draw_values, percentile_interval
from react_mm.evaluation.comparison import Cell
from react_mm.evaluation.outcomes import Outcomes
from react_mm.suggestions import near_matches


def tabulate(
    cells: Sequence[Cell],
    reference: str | None = None,
    metrics: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Numbers for :func:`react_mm.reporting.comparison.write_comparison`.

    Args:
        cells: As from :func:`react_mm.evaluation.comparison.run_comparison`.
        reference: The model that differences are taken from; the first by default.
        metrics: Further metrics besides each task's headline, as patterns (``zero_shot/*``).
        draws: Resamples of each interval.
        seed: Of the first task; the next have the next numbers, so that tasks are independent and
            models of one task are paired.
        level: Of the intervals.

    Returns:
        ``models``, ``tasks``, ``reference``, ``bootstrap``, ``published`` and ``rows``: one for
        each task, metric and model with ``value``, ``interval`` and ``difference`` (to the
        reference; each ``value, low, high, level, draws, seed``, or None where a metric keeps
        nothing per image), ``images``, ``cell``.

    Raises:
        ValueError: If the reference is no model, or a pattern fits no metric.
    """
    models = list(dict.fromkeys(cell.model for cell in cells))
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    reference = reference or models[0]
    if reference not in models:
        raise ValueError(f"no model is named {reference!r}{near_matches(reference, models)}")
    known = {name for cell in cells for name in cell.metrics}
    for pattern in metrics:
        if not fnmatch.filter(known, pattern):
            raise ValueError(
                f"no task has the metric {pattern!r}{near_matches(pattern, known)}; there are "
                + ", ".join(sorted(known))
            )
    rows, drawn = [], {}
    for position, task in enumerate(tasks):
        own = {cell.model: cell for cell in cells if cell.task == task}
        for metric in _shown(own[reference], metrics):
            task_rows, task_draws = _rows(own, metric, reference, draws, seed + position, level)
            rows += task_rows
            if metric == own[reference].headline:
                drawn[task] = task_draws
    for kind in dict.fromkeys(own.headline.split("/")[0] for own in cells):
        alike = {t: d for t, d in drawn.items() if _headline(cells, t).split("/")[0] == kind}
        rows += _means(rows, alike, models, reference, level, seed, kind)
    return {
        "models": models,
        "tasks": tasks,
        "reference": reference,
        "bootstrap": {"draws": draws, "seed": seed, "level": level},
        "rows": rows,
        "published": [
            {"task": cell.task, **row}
            for cell in cells
            if cell.model == reference
            for row in cell.published
        ],
    }


def frontier_rows(
    cells: Sequence[Cell], scales: Mapping[str, tuple[str, float | None]], domain: str, general: str
) -> list[dict[str, Any]]:
    """Rows for :func:`react_mm.reporting.frontier.write_frontier`, by the tasks' headlines.

    Args:
        cells: All cells.
        scales: Column name -> (model, gate scale).
        domain: Task of the domain.
        general: Task of what is to be kept.

    Raises:
        ValueError: If a task is not among the cells.
    """
    by_place = {(cell.task, cell.model): cell.metrics[cell.headline] for cell in cells}
    tasks = dict.fromkeys(cell.task for cell in cells)
    for task in (domain, general):
        if task not in tasks:
            raise ValueError(f"no task is named {task!r}{near_matches(task, tasks)}")
    return [
        {
            "model": model,
            "scale": scale,
            "domain": by_place[domain, column],
            "general": by_place[general, column],
        }
        for column, (model, scale) in scales.items()
    ]


def _shown(cell: Cell, patterns: Sequence[str]) -> list[str]:
    more = [m for p in patterns for m in fnmatch.filter(cell.metrics, p)]
    return list(dict.fromkeys([cell.headline, *more]))


def _rows(
    cells: Mapping[str, Cell], metric: str, reference: str, draws: int, seed: int, level: float
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    rows = []
    drawn: dict[str, np.ndarray] = {}
    kept: dict[str, Outcomes] = {}
    for name, cell in cells.items():
        if metric in cell.outcomes:
            kept[name] = cell.outcomes[metric]
            drawn[name] = draw_values(kept[name], draws, seed)
    for name, cell in cells.items():
        value = cell.metrics.get(metric)
        row = {
            "task": cell.task,
            "metric": metric,
            "model": name,
            "value": value,
            "headline": metric == cell.headline,
            "interval": None,
            "difference": None,
            "images": len(kept[name].keys) if name in kept else None,
            "cell": cell.key,
        }
        if name in kept and value is not None:
            row["interval"] = percentile_interval(value, drawn[name], level, seed).as_dict()
        if name != reference and name in kept and reference in kept:
            if kept[name].keys != kept[reference].keys:
                raise ValueError(f"{cell.task}: {name} and {reference} saw different images")
            change = kept[name].value() - kept[reference].value()
            both = drawn[name] - drawn[reference]
            row["difference"] = percentile_interval(change, both, level, seed).as_dict()
        rows.append(row)
    return rows, drawn


def _headline(cells: Sequence[Cell], task: str) -> str:
    return next(cell.headline for cell in cells if cell.task == task)


def _means(
    rows: Sequence[Mapping[str, Any]],
    drawn: Mapping[str, Mapping[str, np.ndarray]],
    models: Sequence[str],
    reference: str,
    level: float,
    seed: int,
    kind: str,
) -> list[dict[str, Any]]:
    """Mean of the headlines over the tasks of a kind, of those that keep all models' outcomes."""
    tasks = [task for task, by_model in drawn.items() if set(by_model) == set(models)]
    if len(tasks) < 2:
        return []
    value = {
        (row["task"], row["model"]): row["value"]
        for row in rows
        if row["headline"] and row["task"] in tasks
    }
    means = []
    for model in models:
        mean = float(np.mean([value[task, model] for task in tasks]))
        resampled = np.mean([drawn[task][model] for task in tasks], axis=0)
        row = {
            "task": f"mean of {len(tasks)} tasks",
            "metric": f"{kind} headlines",
            "model": model,
            "value": mean,
            "headline": True,
            "interval": percentile_interval(mean, resampled, level, seed).as_dict(),
            "difference": None,
            "images": None,
            "cell": None,
        }
        if model != reference:
            change = mean - float(np.mean([value[task, reference] for task in tasks]))
            both = resampled - np.mean([drawn[task][reference] for task in tasks], axis=0)
            row["difference"] = percentile_interval(change, both, level, seed).as_dict()
        means.append(row)
    return means
