"""Any set of models on any set of tasks: runs what is missing, keeps what is done.

A cell is one model on one task. Its key is a hash of what decides its numbers: the model, the test
set's config, the metric, the test loop, the content of every weights file and list that is named,
the gate scale and the version of react_mm; not the pictures themselves. A finished cell is
``cells/KEY.json`` with ``cells/KEY.npz``, what was right image by image; a run that was killed
starts again at the first missing cell.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

import react_mm
from react_mm.engine.launching import build_runner
from react_mm.engine.safe_loading import install_safe_loading
from react_mm.evaluation.compared_models import (
    ComparedModel,
    ComparedTask,
    as_plain,
    check_names,
    task_config,
)
from react_mm.evaluation.outcomes import Outcomes, load_outcomes, save_outcomes
from react_mm.manifest import read_json, sha256_bytes, sha256_file, write_json
from react_mm.models.open_clip_loading import resolve_weights

DECIDING = ("model", "test_evaluator", "test_cfg", "custom_hooks", "load_from")
WEIGHTS = (".safetensors", ".pth", ".pt", ".bin")
LISTS = (".json", ".jsonl", ".txt", ".npz")  # .npz: proposals


@dataclass(frozen=True)
class Cell:
    """One finished test.

    Attributes:
        task: Row name.
        model: Column name.
        metrics: Name -> value.
        headline: The metric that a table shows.
        key: See the module.
        seconds: What the test took.
        published: Values of the literature for the task's set.
        outcomes: Metric -> what was right, image by image.
    """

    task: str
    model: str
    metrics: Mapping[str, float | None]
    headline: str
    key: str
    seconds: float
    published: Sequence[Mapping[str, Any]]
    outcomes: Mapping[str, Outcomes]


def cell_key(config: Config) -> str:
    """sha256 over what decides the numbers of a test; file names of weights do not count."""
    parts = {name: as_plain(config.get(name)) for name in DECIDING}
    loader = as_plain(config.test_dataloader)
    parts["dataset"] = loader["dataset"]
    parts["version"] = react_mm.__version__
    content = json.dumps(_with_contents(parts), sort_keys=True)
    return sha256_bytes(content.encode())


def run_comparison(
    models: Sequence[ComparedModel],
    tasks: Sequence[ComparedTask],
    folder: str | Path,
    options: Mapping[str, Any] | None = None,
    again: bool = False,
    say: Callable[[str], None] = print,
) -> list[Cell]:
    """Runs every missing cell.

    Args:
        models: Columns.
        tasks: Rows.
        folder: Cells are kept under ``cells/``, logs under ``logs/``.
        options: As from ``--cfg-options``, for every task.
        again: Run finished cells, too (images changed in place).
        say: Called with a line for each cell.

    Returns:
        All cells, task by task.

    Raises:
        ValueError, FileNotFoundError: If something named does not exist or fit; before any test.
    """
    check_names(models)
    check_names(tasks)
    if not models or not tasks:
        raise ValueError("a comparison needs models and tasks")
    install_safe_loading()
    folder = Path(folder)
    plan = [(task, model, task_config(task, model, options)) for task in tasks for model in models]
    keys = [cell_key(config) for _, _, config in plan]
    cells = []
    for position, ((task, model, config), key) in enumerate(zip(plan, keys, strict=True), 1):
        title = f"[{position}/{len(plan)}] {task.name}, {model.name}"
        path = folder / "cells" / f"{key}.json"
        if again or not path.is_file():
            say(f"{title}: testing")
            config.work_dir = str(folder / "logs" / f"{task.name}_{model.name}")
            config.log_level = "WARNING"
            config.experiment_name = f"{key[:12]}_{time.time_ns()}"
            _run_cell(config, path, {"task": asdict(task), "model": asdict(model)})
        cell = _read_cell(path, task.name, model.name, key)
        shown = cell.metrics[cell.headline]
        say(f"{title}: {cell.headline} {'-' if shown is None else format(shown, '.4f')}")
        cells.append(cell)
    return cells


def _run_cell(config: Config, path: Path, card: dict[str, Any]) -> None:
    started = time.perf_counter()
    runner = build_runner(config)
    metrics = plain_metrics(runner.test())
    outcomes, headline = outcomes_of(runner, metrics)
    dataset = getattr(runner.test_dataloader.dataset, "card", None)
    content = {
        **card,
        "metrics": metrics,
        "headline": headline,
        "seconds": time.perf_counter() - started,
        "published": as_plain(getattr(dataset, "published", ())),
        "version": react_mm.__version__,
        "deciding": as_plain({name: config.get(name) for name in DECIDING}),
    }
    save_outcomes(path.with_suffix(".npz"), outcomes)
    write_json(path, content)  # last: a cell with a JSON file is whole


def outcomes_of(
    runner: Runner, metrics: Mapping[str, float | None]
) -> tuple[dict[str, Outcomes], str]:
    """What a finished test kept image by image, and which metric stands for it.

    Args:
        runner: After its test.
        metrics: What the test gave.

    Returns:
        Outcomes of the loop or of the metrics by full name, and the headline.

    Raises:
        ValueError: If the test gave no metric.
    """
    if not metrics:
        raise ValueError("the test gave no metric at all")
    outcomes: dict[str, Outcomes] = {}
    headlines = []
    for source in (runner.test_loop, *runner.test_evaluator.metrics):
        prefix = getattr(source, "prefix", None)
        start = f"{prefix}/" if prefix else ""
        for name, entry in (getattr(source, "outcomes", None) or {}).items():
            outcomes[start + name] = entry
        if getattr(source, "headline", None):
            headlines.append(start + source.headline)
    known = [name for name in headlines if name in metrics]
    own = {name: entry for name, entry in outcomes.items() if name in metrics}
    return own, (known or list(metrics))[0]


def _read_cell(path: Path, task: str, model: str, key: str) -> Cell:
    content = read_json(path)
    return Cell(
        task,
        model,
        content["metrics"],
        content["headline"],
        key,
        content["seconds"],
        content["published"],
        load_outcomes(path.with_suffix(".npz")),
    )


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics as numbers that JSON can hold; None for what is not finite."""
    found = {k: float(v.item() if hasattr(v, "item") else v) for k, v in metrics.items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _with_contents(parts: Any) -> Any:
    """Replaces every name of a weights file or a list by the hash of its content."""
    parts = copy.deepcopy(parts)
    for node in list(_nodes(parts)):
        arch, tag = node.get("arch"), node.get("pretrained")
        if isinstance(arch, str) and isinstance(tag, str):
            packaged = resolve_weights(arch, tag, None)
            if packaged is not None:
                node["pretrained"] = _content(packaged)
        if isinstance(node.get("memory"), dict) and "folder" in node["memory"]:
            node["memory"] = _memory_content(node["memory"])
        for name, value in node.items():
            named = isinstance(value, str) and value.endswith((*WEIGHTS, *LISTS))
            if named and Path(value).is_file():
                node[name] = _content(Path(value))
    return parts


def _memory_content(memory: dict[str, Any]) -> dict[str, Any]:
    """A memory of RECO by the cards of its embeddings and index, not by the name of its folder."""
    folder = Path(memory["folder"])
    cards = (folder / "embeddings" / "manifest.json", folder / "index" / "index.json")
    found = [_content(path) for path in cards if path.is_file()]
    return {**memory, "folder": found or str(folder)}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _nodes(item)


def _content(path: Path) -> str:
    state = path.stat()
    return _hash(str(path.resolve()), state.st_size, state.st_mtime_ns)


@cache
def _hash(path: str, size: int, changed: int) -> str:
    return f"sha256:{sha256_file(path)}"
