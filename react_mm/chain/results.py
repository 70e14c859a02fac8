"""The chain's end: one result file per arm, the table, and the picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from react_mm.chain.links import inputs_of
from react_mm.chain.settings import BASE, ChainSettings, Part
from react_mm.engine.running import versions
from react_mm.engine.stages import Stages
from react_mm.evaluation.comparison import Cell
from react_mm.evaluation.comparison_table import tabulate
from react_mm.evaluation.outcomes import load_outcomes
from react_mm.manifest import Manifest, read_json, sha256_file, write_json
from react_mm.reporting.chain import write_picture
from react_mm.reporting.comparison import write_comparison


def write_results(
    settings: ChainSettings, stages: Stages, tasks: Mapping[str, Part]
) -> dict[str, Any]:
    """Writes ``results.json``, ``results/ARM.json``, the table and the picture.

    Args:
        settings: The chain's config.
        stages: With all stages done.
        tasks: What was tested, by name.

    Returns:
        What ``results.json`` holds: metrics per arm and task, choices, counts of the retrieved set,
        ``inputs`` (the tests' cards and their hashes), seconds per stage and versions.
    """
    folder = settings.work_dir
    cards = {
        (task, arm): folder / "tests" / f"{task}-{arm}.json"
        for task in tasks
        for arm in settings.arms
    }
    cells = [_cell(settings, task, arm, path) for (task, arm), path in cards.items()]
    table = tabulate(cells, BASE, settings.metrics)
    write_comparison(table, folder)
    write_picture(table["rows"], list(settings.arms), folder / "chain.png")
    per_arm: dict[str, Any] = {arm: {} for arm in settings.arms}
    for cell in cells:
        per_arm[cell.model][cell.task] = dict(cell.metrics)
    for arm, metrics in per_arm.items():
        write_json(folder / "results" / f"{arm}.json", metrics)
    results = {
        "arms": per_arm,
        "choices": _choices(folder),
        "names": stages.stamps["names"].result,
        "retrieved": retrieved_counts(folder),
        "inputs": inputs_of(folder, {f"{t} {a}": path for (t, a), path in cards.items()}),
        "seed": settings.seed,
        "seconds": stages.seconds,
        "versions": versions(),
    }
    write_json(folder / "results.json", results)
    return results


def _cell(settings: ChainSettings, task: str, arm: str, path: Path) -> Cell:
    content = read_json(path)
    metrics, headline = content["metrics"], content["headline"]
    if settings.detector.novel_ap in metrics:
        headline = settings.detector.novel_ap
    outcomes = load_outcomes(path.with_suffix(".npz"))
    return Cell(task, arm, metrics, headline, sha256_file(path), content["seconds"], (), outcomes)


def _choices(folder: Path) -> dict[str, Any]:
    """What was chosen, without the candidates."""
    found = {}
    for path in sorted((folder / "choices").glob("*.json")):
        content = read_json(path)
        found[path.stem] = {k: content[k] for k in ("gate_scale", "base", "novel") if k in content}
    return found


def retrieved_counts(folder: Path) -> dict[str, Any]:
    """Pairs of the retrieved set, all and per concept.

    Args:
        folder: The chain's folder.
    """
    place = folder / "retrieval" / "retrieved"
    facts = Manifest.load(place).facts
    concepts = pq.read_table(place / "pairs.parquet", columns=["concept"])["concept"].to_pylist()
    counts = {concept: concepts.count(concept) for concept in sorted(set(concepts))}
    return {"pairs": facts["pairs"], "per_concept": counts}


def link_table(links: list[Any]) -> str:
    """The links as lines ``card  field  source  sha256``, for ``tools/chain.py --check``."""
    rows = [(k.card, k.field, k.source, k.recorded[:12]) for k in links]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows
    )


def brief(results: Mapping[str, Any]) -> str:
    """The retrieved set and the choices in one line each."""
    retrieved = results["retrieved"]
    lines = [f"{retrieved['pairs']} pairs retrieved for {len(retrieved['per_concept'])} names"]
    lines += [f"{name}: {json.dumps(value)}" for name, value in results["choices"].items()]
    return "\n".join(lines)
