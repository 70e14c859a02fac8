"""Every customization method on one seed of the drawn world, beside the demo's recipes.

The demo of that seed must have ended: its retrieved set, general sample and choices are used. Each
row is turned down by the demo's rule (gate scale, or interpolation with the start where there are
no gates), read on the validation images before the test images are opened.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job, Stages
from react_mm.evaluation.gate_scale import GATE_SCALES, choose_gate_scale
from react_mm.manifest import RunLock, read_json, sha256_file, write_json
from react_mm.models.interpolation import interpolate_delta
from react_mm.registry import MODELS
from react_mm.retrieval.hard_pairs import HardPairSettings, mine_retrieved
from react_mm.toy.demo import jobs
from react_mm.toy.demo.tasks import TASKS, Options, with_delta
from react_mm.toy.seeds import DEMO

FOLDER = Path("work_dirs/methods")
MEASURED = ("zero-shot", "gt-box", "segmentation")


@dataclasses.dataclass(frozen=True)
class MethodRow:
    """One row.

    Attributes:
        config: ``configs/customization/CONFIG.py``.
        general: Whether general images are in the batch.
        gates: Whether a gate scale turns it down; else interpolation with the start.
        hard: Whether a hard pair stands beside each pair.
    """

    config: str
    general: bool = True
    gates: bool = True
    hard: bool = False


ROWS = {
    "locked-text, published recipe": MethodRow("locked-text_toy-vit_toy_plain", False, False),
    "locked-text + teacher": MethodRow("locked-text_toy-vit_toy_recommended", gates=False),
    "gated-image, published recipe": MethodRow("gated-image_toy-vit_toy_plain", general=False),
    "gated-image + teacher": MethodRow("gated-image_toy-vit_toy_recommended"),
    "gated-image + teacher + hard pairs": MethodRow(
        "gated-image_toy-vit_toy_recommended", hard=True
    ),
    "gated-image + teacher + dense": MethodRow("gated-image_toy-vit_toy_dense"),
    "dense only": MethodRow("gated-image_toy-vit_toy_dense-only"),
    "LoRA + teacher": MethodRow("lora_toy-vit_toy_recommended"),
}


def run_methods(folder: Path, seed: int, short: bool = False) -> dict[str, Any]:
    """Trains, turns down and measures every row; finished stages are reused.

    Args:
        folder: Folder of the seed, as :func:`react_mm.toy.seeds.run_seed` leaves it.
        seed: Seed of the order of the pairs and of new weights.
        short: Two steps each, to see that it runs.

    Returns:
        ``rows``: by name ``scale``, ``curve`` (validation) and the demo's metrics on the test
        split; ``before``: those of the base; also written to ``methods.json``.

    Raises:
        FileNotFoundError: If the seed's demo has not ended.
    """
    if not (folder / DEMO / "results.json").is_file():
        raise FileNotFoundError(
            f"{folder / DEMO / 'results.json'} does not exist: run the seed without --methods first"
        )
    with contextlib.chdir(folder):  # the configs' paths are relative
        lanes = Lanes()
        with RunLock(FOLDER), contextlib.closing(lanes):
            found = _Run(seed, short, lanes).run()
        write_json(FOLDER / "methods.json", found)
    return found


def customized_row(
    name: str, seed: int, short: bool, lanes: Lanes
) -> tuple[Path | None, float | None]:
    """Trains and turns down one row, for other studies; what :func:`run_methods` did is reused.

    Called inside the seed's folder.

    Args:
        name: Key of :data:`ROWS`.
        seed: As in :func:`run_methods`.
        short: As there.
        lanes: Where it runs.

    Returns:
        The delta and its gate scale; None twice where the rule turns the row off altogether.
    """
    with RunLock(FOLDER):
        run = _Run(seed, short, lanes)
        run.prepare()
        run.stages.run_beside([run._training(name)], lanes)
        return run._at(name, run._choose(name)["scale"])


class _Run:
    def __init__(self, seed: int, short: bool, lanes: Lanes) -> None:
        self.seed, self.short, self.lanes = seed, short, lanes
        self.configs, self.stages = running.configs_folder(), Stages(FOLDER)
        self.retrieval = DEMO / "retrieval"
        self.choices = read_json(DEMO / "results.json")["settings"]

    def prepare(self) -> None:
        """Mines the hard pairs, the input of every training."""
        inputs = {"retrieved": sha256_file(self.retrieval / "retrieved" / "manifest.json")}
        self.stages.run("hard pairs", self._mine, inputs)

    def run(self) -> dict[str, Any]:
        self.prepare()
        self.stages.run_beside([self._training(name) for name in ROWS], self.lanes)
        chosen = {name: self._choose(name) for name in ROWS}
        measured = self.stages.run_beside(
            [
                self._measuring(name, task, chosen[name]["scale"])
                for name in ROWS
                for task in MEASURED
            ],
            self.lanes,
        )
        rows = {
            name: {
                **chosen[name],
                **{k: v for task in MEASURED for k, v in measured[f"{task} {name}"].items()},
            }
            for name in ROWS
        }
        before = read_json(DEMO / "results.json")["before"]
        return {"seed": self.seed, "before": before, "rows": rows, "seconds": self.stages.seconds}

    def _mine(self) -> Mapping[str, Any]:
        return mine_retrieved(self.retrieval, HardPairSettings())[0].facts

    def delta(self, name: str) -> Path:
        return FOLDER / name.replace(" ", "-") / "customized.safetensors"

    def _training(self, name: str) -> Job:
        row, delta = ROWS[name], self.delta(name)
        path = self.configs / "customization" / f"{row.config}.py"
        options: Options = {
            "randomness.seed": self.seed,
            "retrieved": str(self.retrieval / "retrieved"),
        }
        if row.general:
            options["general"] = str(self.retrieval / "samples" / "general")
        if row.hard:
            options["train_dataloader.sampler.hard_pairs"] = str(self.retrieval / "hard_pairs")
            options["train_dataloader.sampler.hard_per_pair"] = 1
        if self.short:
            options["train_cfg.max_iters"] = 2
        settings = {"config": running.text_of(path, delta.parent, options)}
        outputs = [delta, delta.with_suffix(".json")]
        return Job(
            name, jobs.customize, (path, options, delta, name), settings, ["hard pairs"], outputs
        )

    def _at(self, name: str, scale: float) -> tuple[Path | None, float | None]:
        """Delta and gate scale of a row that is turned down."""
        delta = self.delta(name)
        if scale == 0:
            return None, None
        if ROWS[name].gates:
            return delta, scale
        if scale == 1:
            return delta, None
        base = running.read_config(
            self.configs / "customization" / f"{ROWS[name].config}.py", FOLDER, {}
        ).model
        place = delta.with_name(f"interpolated-{scale:g}.safetensors")
        base = {key: base[key] for key in ("type", "image_tower", "text_tower")}
        return interpolate_delta(delta, MODELS.build(base), scale, place), None

    def _choose(self, name: str) -> dict[str, Any]:
        """The scale by the demo's rule, on the validation images."""
        task = TASKS["zero-shot"]

        def measure() -> Mapping[str, Any]:
            waiting = []
            for scale in GATE_SCALES:
                options = {**with_delta(task, *self._at(name, scale)), **task.on_val}
                arguments = (self.configs / task.config, FOLDER / "val" / f"{scale:g}", options)
                waiting.append(
                    self.lanes.submit(running.metrics_of, *arguments, f"{name} {scale:g}", None)
                )
            curve = []
            for scale, future in zip(GATE_SCALES, waiting, strict=True):
                target, other = task.read(future.result()).values()
                curve.append({"scale": scale, "target": target, "other": other})
            return {"scale": choose_gate_scale(curve), "curve": curve}

        return self.stages.run(f"scale {name}", measure, {"scales": GATE_SCALES}, after=[name])

    def _measuring(self, name: str, which: str, scale: float) -> Job:
        task, title = TASKS[which], f"{which} {name}"
        options = with_delta(task, *self._at(name, scale))
        if which != "zero-shot":
            options["model.backbone.dense_mode"] = self.choices["dense_mode"]
        if which == "segmentation":
            options["model.background.threshold"] = self.choices["background_threshold"]
        if self.short and which != "zero-shot":
            options["test_dataloader.dataset.indices"] = 8
        path, work_dir = self.configs / task.config, FOLDER / "test" / title.replace(" ", "-")
        settings = {"config": running.text_of(path, work_dir, options)}
        arguments = (which, path, work_dir, options, None, None, title)
        return Job(title, jobs.measure, arguments, settings, [name, f"scale {name}"])


def methods_table(found: Mapping[str, Any]) -> str:
    """Markdown: rows of :func:`run_methods`, in percent; ``s``: wall-clock seconds of training."""
    columns = [
        f"{metric}.{group}"
        for metric in ("zero_shot", "gt_box", "miou")
        for group in ("target", "other")
    ]
    lines = [
        "| | scale | " + " | ".join(columns) + " | s |",
        "|---" * (len(columns) + 3) + "|",
    ]
    before = {
        f"{metric}.{group}": value
        for metric, groups in found["before"].items()
        for group, value in groups.items()
    }
    rows = {"base": {"scale": 0.0, **before}, **found["rows"]}
    for name, row in rows.items():
        cells = [f"{100 * row[column]:.1f}" for column in columns]
        seconds = found["seconds"].get(name)
        cells.append("" if seconds is None else f"{seconds:.0f}")
        scale = "" if name == "base" else f"{row['scale']:g}"
        lines.append(f"| {name} | {scale} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
