"""Where the demo's fixed settings come from: a grid read on validation images of an own seed.

The length of training and the weight of the teacher stand in the recommended config. They were
chosen here, on the validation split of a world (seed 100) that no table uses; the gate scale is
read anew in every run of the demo.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.engine.stages import Stages
from react_mm.evaluation import gate_scale as choices
from react_mm.toy.demo.line import Demo
from react_mm.toy.demo.tasks import RECIPES, TASKS

SEED = 100
ITERATIONS = (100, 200)
TEACHER_WEIGHTS = (2.0, 5.0, 10.0)


def choose_settings(folder: Path) -> dict[str, Any]:
    """Trains the recommended recipe over the grid and reads the validation split.

    The rule is the demo's: of each candidate's gate curve the scale of the largest target accuracy
    that keeps the other families within the allowed drop; then the candidate of the largest target.

    Args:
        folder: Output folder; finished candidates are reused.

    Returns:
        ``rows`` of all candidates, and the chosen ``iterations`` and ``teacher_weight``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):  # the configs' paths are relative
        stages = Stages(Path("grid"))
        demo = Demo(Path("grid"), SEED, stages)
        demo.prepare()
        demo.retrieval.run_all(stages, after=("world", "base"))
        rows = []
        for iterations, weight in itertools.product(ITERATIONS, TEACHER_WEIGHTS):
            name = f"candidate {iterations} {weight:g}"
            work = _candidate(demo, name, iterations, weight)
            rows.append(stages.run(name, work, {"grid": [iterations, weight]}, after=["sample"]))
        best = choices.choose_largest(rows, "target")
        return {"rows": rows, **{k: best[k] for k in ("iterations", "teacher_weight")}}


def _candidate(demo: Demo, name: str, iterations: int, weight: float) -> Any:
    path, work_dir = demo.configs / RECIPES["after"], demo.stages.work_dir(name)
    options = {
        "retrieved": str(demo.retrieval.retrieved),
        "general": str(demo.retrieval.sample("general")),
        "randomness.seed": SEED,
        "model.teacher_weight": weight,
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": iterations,
        "param_scheduler.1.end": iterations,
        "param_scheduler.1.T_max": iterations - 20,
    }

    def work() -> dict[str, Any]:
        running.train(path, work_dir, options, name)
        task, curve = TASKS["zero-shot"], []
        for scale in choices.GATE_SCALES:
            delta = {"model.delta": str(work_dir / "customized.safetensors")}
            settings = {**task.on_val, **delta, "model.gate_scale": scale}
            config = demo.configs / task.config
            measured, _ = running.test(config, work_dir / "val", settings, name)
            target, other = task.read(measured).values()
            curve.append({"scale": scale, "target": target, "other": other})
        scale = choices.choose_gate_scale(curve)
        chosen = next(row for row in curve if row["scale"] == scale)
        grid = {"iterations": iterations, "teacher_weight": weight}
        return {**grid, "gate_scale": scale, **chosen, "curve": curve}

    return work


def markdown(found: dict[str, Any]) -> str:
    """The grid as a Markdown table, in percent of the validation images."""
    lines = ["| iterations | teacher weight | gate scale | target | other |", "|---" * 5 + "|"]
    for row in found["rows"]:
        numbers = f"{row['gate_scale']} | {100 * row['target']:.1f} | {100 * row['other']:.1f}"
        lines.append(f"| {row['iterations']} | {row['teacher_weight']:g} | {numbers} |")
    chosen = f"{found['iterations']} iterations, teacher weight {found['teacher_weight']:g}"
    return "\n".join(lines) + f"\n\nChosen: {chosen}.\n"
