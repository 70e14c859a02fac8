"""Where the demo's fixed settings come from: candidates read on validation images of an own seed.

How pairs are searched, the length of training and the weight of the teacher stand in the shipped
configs. They were chosen here, on the validation split of a world (seed 100) that no table uses;
the gate scale is read anew in every run of the demo.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.engine.stages import Stages
from react_mm.evaluation.gate_scale import GATE_SCALES, choose_gate_scale, choose_largest
from react_mm.toy.demo.line import Demo
from react_mm.toy.demo.retrieving import DATA, Retrieval, drawn_concepts, precision
from react_mm.toy.demo.tasks import RECIPES, RETRIEVAL, TASKS
from react_mm.toy.world import target_names

SEED = 100
RETRIEVALS: dict[str, dict[str, Any]] = {
    "T2T from .75": {"modes": ("T2T",), "k": 50, "min_score": {"T2T": 0.75}},
    "T2T from .6": {"modes": ("T2T",), "k": 50, "min_score": {"T2T": 0.6}},
    "T2T and T2I": {"modes": ("T2T", "T2I"), "k": 50, "min_score": {"T2T": 0.6}},
}
ITERATIONS = (100, 200)  # what the 15 minutes of the demo leave room for
TEACHER_WEIGHT, OTHER_WEIGHTS = 5.0, (2.0, 10.0)


def choose_settings(folder: Path) -> dict[str, Any]:
    """Trains the recommended recipe over the candidates and reads the validation split.

    First every search with every length at one weight of the teacher, then the other weights with
    the best of these. The rule is the demo's: of each candidate's gate curve the scale of the
    largest target accuracy that keeps the other families within the allowed drop; then the
    candidate of the largest target.

    Args:
        folder: Output folder; finished candidates are reused.

    Returns:
        ``rows`` of all candidates, and the chosen ``retrieval``, ``iterations`` and
        ``teacher_weight``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):  # the configs' paths are relative
        demo = Demo(Path("grid"), SEED, Stages(Path("grid")))
        demo.prepare()
        rows = [
            _candidate(demo, name, iterations, TEACHER_WEIGHT)
            for name in RETRIEVALS
            for iterations in ITERATIONS
        ]
        best = choose_largest(rows, "target")
        rows += [
            _candidate(demo, best["retrieval"], best["iterations"], weight)
            for weight in OTHER_WEIGHTS
        ]
        best = choose_largest(rows, "target")
        return {
            "rows": rows,
            **{k: best[k] for k in ("retrieval", "iterations", "teacher_weight")},
        }


def _retrieve(demo: Demo, name: str) -> tuple[Retrieval, Stages, dict[str, float]]:
    """Searches as a candidate says; returns what was found, and how right it is."""
    place = Path("grid") / name.replace(" ", "-")
    retrieval, stages = Retrieval(demo.configs / RETRIEVAL, place), Stages(place)
    wanted = RETRIEVALS[name]
    retrieval.settings["search"] |= {k: wanted[k] for k in ("modes", "k")}
    retrieval.settings["select"]["min_score"] = wanted["min_score"]
    retrieval.run_all(stages, after=())
    found = precision(retrieval.rows(), drawn_concepts(DATA / "pool"), set(target_names()))
    return retrieval, stages, found


def _candidate(demo: Demo, retrieval: str, iterations: int, weight: float) -> dict[str, Any]:
    pool, stages, found = _retrieve(demo, retrieval)
    name = f"{iterations} iterations, teacher {weight:g}"
    path, work_dir = demo.configs / RECIPES["after"], stages.work_dir(name)
    options = {
        "retrieved": str(pool.retrieved),
        "general": str(pool.sample("general")),
        "randomness.seed": SEED,
        "model.teacher_weight": weight,
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "param_scheduler.1.end": iterations,
        "param_scheduler.1.T_max": iterations - 20,
    }

    def work() -> Mapping[str, Any]:
        running.train(path, work_dir, options, f"{retrieval}, {name}")
        curve = _curve(demo, work_dir)
        scale = choose_gate_scale(curve)
        chosen = next(row for row in curve if row["scale"] == scale)
        return {
            "retrieval": retrieval,
            "pairs": found["pairs"],
            "precision": found["precision"],
            "iterations": iterations,
            "teacher_weight": weight,
            "gate_scale": scale,
            **chosen,
            "curve": curve,
        }

    return stages.run(name, work, options, after=["sample"])


def _curve(demo: Demo, work_dir: Path) -> list[dict[str, float]]:
    """Validation accuracy of a trained candidate over the gate scale."""
    task, curve = TASKS["zero-shot"], []
    for scale in GATE_SCALES:
        delta = {"model.delta": str(work_dir / "customized.safetensors")}
        settings = {**task.on_val, **delta, "model.gate_scale": scale}
        measured, _ = running.test(
            demo.configs / task.config, work_dir / "val", settings, f"scale {scale}"
        )
        target, other = task.read(measured).values()
        curve.append({"scale": scale, "target": target, "other": other})
    return curve


def markdown(found: dict[str, Any]) -> str:
    """The candidates as a Markdown table, in percent of the validation images."""
    head = ("search", "pairs", "right", "iterations", "teacher", "gate scale", "target", "other")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in found["rows"]:
        cells = [
            row["retrieval"],
            f"{row['pairs']:g}",
            f"{100 * row['precision']:.0f}",
            f"{row['iterations']}",
            f"{row['teacher_weight']:g}",
            f"{row['gate_scale']}",
            f"{100 * row['target']:.1f}",
            f"{100 * row['other']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    chosen = (
        f"{found['retrieval']}, {found['iterations']} iterations, "
        f"teacher weight {found['teacher_weight']:g}"
    )
    return "\n".join(lines) + f"\n\nChosen: {chosen}.\n"
