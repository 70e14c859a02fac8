"""The demo's line: every stage in its order, the validation split before the test split."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job, Result, Stages
from react_mm.evaluation import gate_scale as choices
from react_mm.manifest import RunLock, read_json, sha256_file, write_json
from react_mm.models.open_clip_loading import resolve_weights
from react_mm.reporting.report import write_report
from react_mm.reporting.results import check_demo_results, nest
from react_mm.toy.demo import jobs, pictures, retrieving
from react_mm.toy.demo.tasks import (
    ARMS,
    RECIPES,
    RETRIEVAL,
    TASKS,
    Options,
    Task,
    with_delta,
)
from react_mm.toy.world import target_names
from react_mm.toy.writer import write_world

PARTS = ("pool", "classification", "scenes")
DRAWN_BY = [
    *(f"toy/{name}.py" for name in ("backgrounds", "captions", "drawing", "sampling", "scene")),
    *("toy/world.py", "toy/writer.py", "toy/shapes/*.py"),
]
DENSE_MODES = ("local", "maskclip", "vanilla")
THRESHOLDS = (0.2, 0.35, 0.5)
SCORE_WEIGHTS = ((0.1, 0.8), (0.35, 0.65), (0.0, 1.0))


@dataclasses.dataclass
class Demo:
    """A run of the demo.

    Attributes:
        folder: Where everything but the drawn world goes.
        seed: Seed of the world and of training.
        stages: The stamped stages.
        short: Only see whether the line runs: two steps of training, a few scenes.
    """

    folder: Path
    seed: int
    stages: Stages
    short: bool = False

    def __post_init__(self) -> None:
        self.configs = running.configs_folder()
        self.retrieval = retrieving.Retrieval(self.configs / RETRIEVAL, self.folder / "retrieval")
        self.gate_scales: dict[str, float | None] = dict.fromkeys(ARMS)
        self.dense: Options = {}
        self.lanes = Lanes()
        self.results: dict[str, dict[str, float]] = {arm: {} for arm in ARMS}

    def run(self) -> Path:
        """Runs what is not finished yet and returns the report's path."""
        with RunLock(self.folder), contextlib.closing(self.lanes):
            self.prepare()
            self.retrieval.run_all(self.stages, after=("world", "base"))
            self.customize()
            curve = self.choose_gate_scale()
            self.choose_dense()
            self.train_detectors()
            weights = self.choose_score_weights()
            self.measure(weights)
            return self.report(curve, weights)

    # ------------------------------------------------------------------ stages before the test

    def prepare(self) -> None:
        """Draws the world and checks the base that ships with the package."""
        data = retrieving.DATA
        self.stages.run(
            "world",
            lambda: write_world(data, self.seed, PARTS),
            {"seed": self.seed, "parts": PARTS, "source": running.source_hash(DRAWN_BY)},
            whole=lambda: (data / "world.json").is_file() and (data / "pool").is_dir(),
        )
        settings = {"weights": self._base_hash(), "config": self._text("zero-shot")}
        self.stages.run("base", self._check_base, settings, after=["world"])

    def _base_hash(self) -> str:
        path = resolve_weights("toy-vit", "drawn-world", None)
        return sha256_file(path)

    def _check_base(self) -> Result:
        (measured,) = self._on_val(TASKS["zero-shot"], [("before", {})])
        return {"weights": self._base_hash(), **TASKS["zero-shot"].read(measured)}

    def customize(self) -> None:
        """Trains the recipes; their deltas are the stages' outputs."""
        todo = []
        for arm, recipe in RECIPES.items():
            path, name, delta = self.configs / recipe, f"customize {arm}", self.delta(arm)
            options: Options = {"randomness.seed": self.seed}
            options["retrieved"] = str(self.retrieval.retrieved)
            options["general"] = str(self.retrieval.sample("general"))
            if arm == "control":
                options["control"] = str(self.retrieval.sample("control"))
                options.pop("retrieved")
            if arm == "plain":
                options.pop("general")
            if self.short:
                options["train_cfg.max_iters"] = 2
            settings = {"config": running.text_of(path, delta.parent, options)}
            outputs = [delta, delta.with_suffix(".json")]
            arguments, after = (path, options, delta, name), ["export", "sample"]
            todo.append(Job(name, jobs.customize, arguments, settings, after, outputs))
        self.stages.run_beside(todo, self.lanes)

    def delta(self, arm: str) -> Path | None:
        """The stored customization of an arm; None for the base."""
        if arm == "before":
            return None
        return self.folder / f"customize-{arm}" / "customized.safetensors"

    def choose_gate_scale(self) -> list[dict[str, Any]]:
        """Reads the gate scale of the recommended recipe from the validation split."""

        def _measure() -> Result:
            task, rows = TASKS["zero-shot"], []
            every = [{"model.gate_scale": scale} for scale in choices.GATE_SCALES]
            measured = self._on_val(task, [("after", options) for options in every])
            for scale, metrics in zip(choices.GATE_SCALES, measured, strict=True):
                target, other = task.read(metrics).values()
                rows.append({"split": "val", "scale": scale, "target": target, "other": other})
            return {"rows": rows, "gate_scale": choices.choose_gate_scale(rows)}

        settings = {"scales": choices.GATE_SCALES, "allowed_drop": choices.ALLOWED_DROP}
        settings["config"] = self._text("zero-shot")
        chosen = self.stages.run("gate scale", _measure, settings, after=["customize after"])
        # The control is the same recipe; the published one knows no gate scale.
        scale = chosen["gate_scale"]
        self.gate_scales = {"before": None, "after": scale, "plain": 1.0, "control": scale}
        return chosen["rows"]

    def choose_dense(self) -> None:
        """Reads dense mode and background threshold from the base's validation mIoU."""
        task = TASKS["segmentation"]

        def _measure() -> Result:
            rows = [
                {"dense_mode": mode, "threshold": threshold}
                for mode, threshold in itertools.product(DENSE_MODES, THRESHOLDS)
            ]
            measured = self._on_val(task, [("before", _dense(row)) for row in rows])
            for row, metrics in zip(rows, measured, strict=True):
                row["miou"] = metrics["segmentation/mIoU"]
            return {"rows": rows, **choices.choose_largest(rows, "miou")}

        settings = {"modes": DENSE_MODES, "thresholds": THRESHOLDS}
        settings["config"] = self._text("segmentation")
        self.dense = self.stages.run("dense mode", _measure, settings, after=["base"])

    def train_detectors(self) -> None:
        """Trains the box branch on the base families, each arm's tower frozen below it."""
        task, todo = TASKS["detection"], []
        path = self.configs / task.config
        for arm in ARMS:
            name, checkpoint = f"train detector {arm}", self.detector(arm)
            options = {**self._options(task, arm), "randomness.seed": self.seed}
            if self.short:
                options["train_cfg.max_iters"] = 2
            settings = {"config": running.text_of(path, checkpoint.parent, options)}
            after = ["gate scale", "dense mode"] + self._customized(arm)
            arguments = (path, options, checkpoint, name)
            todo.append(Job(name, jobs.train_detector, arguments, settings, after, [checkpoint]))
        self.stages.run_beside(todo, self.lanes)

    def detector(self, arm: str) -> Path:
        """The trained box branch of an arm."""
        return self.folder / f"train-detector-{arm}" / "detector.pth"

    def choose_score_weights(self) -> Options:
        """Reads the weights of the VLM score from the base's and the customized detector's AP50.

        The largest mean over both arms and over base and novel wins, so that no arm is favoured.
        """
        task = TASKS["detection"]

        def _measure() -> Result:
            rows = [{"base": base, "novel": novel} for base, novel in SCORE_WEIGHTS]
            pairs = [(row, arm) for row in rows for arm in ("before", "after")]
            measured = self._on_val(task, [(arm, _weights(row)) for row, arm in pairs])
            for (row, arm), metrics in zip(pairs, measured, strict=True):
                row[arm] = task.read(metrics)
            for row in rows:
                row["mean"] = sum(sum(row[arm].values()) for arm in ("before", "after")) / 4
            best = choices.choose_largest(rows, "mean")
            return {"rows": rows, "base": best["base"], "novel": best["novel"]}

        after = ["train detector before", "train detector after"]
        settings = {"grid": SCORE_WEIGHTS, "config": self._text("detection")}
        return self.stages.run("score weights", _measure, settings, after=after)

    # ---------------------------------------------------------------------------- test and report

    def measure(self, weights: Options) -> None:
        """Measures all tasks for all arms on the test split, with pictures of before and after."""
        todo = [self._measuring(name, arm, weights) for name in TASKS for arm in ARMS]
        measured = self.stages.run_beside(todo, self.lanes)
        for name in TASKS:
            for arm in ARMS:
                self.results[arm].update(measured[f"{name} {arm}"])

    def _measuring(self, name: str, arm: str, weights: Options) -> Job:
        """The job that measures one task for one arm."""
        task = TASKS[name]
        options = self._options(task, arm) | (_weights(weights) if name == "detection" else {})
        if self.short and name != "zero-shot":
            options["test_dataloader.dataset.indices"] = 8
        drawn = None
        if pictures.wanted(name, arm):
            drawn = self.folder / "artefacts" / f"{name}-{arm}.json"
        path, work_dir = self.configs / task.config, self.folder / "test" / f"{name}-{arm}"
        checkpoint = self.detector(arm) if name == "detection" else None
        title = f"{name} {arm}"
        after = ["gate scale", "dense mode", "score weights"] + self._customized(arm)
        after += [f"train detector {arm}"] if name == "detection" else []
        return Job(
            title,
            jobs.measure,
            (name, path, work_dir, options, checkpoint, drawn, title),
            {"config": running.text_of(path, work_dir, options)},
            after,
            [drawn] if drawn is not None else [],
        )

    def _customized(self, arm: str) -> list[str]:
        return [] if arm == "before" else [f"customize {arm}"]

    def _text(self, task: str) -> str:
        """A task's config without a customization: what a choice on the base depends on."""
        return running.text_of(self.configs / TASKS[task].config, self.folder / "test", {})

    def _options(self, task: Task, arm: str) -> Options:
        options = with_delta(task, self.delta(arm), self.gate_scales[arm])
        if task is TASKS["segmentation"] and self.dense:
            options |= _dense(self.dense)
        elif task.tower == "model.backbone" and self.dense:
            options["model.backbone.dense_mode"] = self.dense["dense_mode"]
        return options

    def _on_val(self, task: Task, wanted: list[tuple[str, Options]]) -> list[dict[str, float]]:
        """Metrics on the validation split for arms with options, side by side."""
        path = self.configs / task.config
        waiting = []
        for number, (arm, options) in enumerate(wanted):
            everything = {**self._options(task, arm), **task.on_val, **options}
            if self.short and task is not TASKS["zero-shot"]:
                everything["test_dataloader.dataset.indices"] = 8
            checkpoint = self.detector(arm) if task is TASKS["detection"] else None
            title = f"{Path(task.config).parent.name} {arm}, validation {number + 1}"
            work_dir = self.folder / "validation" / str(number)
            arguments = (path, work_dir, everything, title, checkpoint)
            waiting.append(self.lanes.submit(running.metrics_of, *arguments))
        return [future.result() for future in waiting]

    def report(self, curve: list[dict[str, Any]], weights: Options) -> Path:
        """Writes results.json and report.html."""
        artefacts = self.folder / "artefacts"
        shown = retrieving.drawn_concepts(retrieving.DATA / "pool")
        rows = self.retrieval.rows()
        found = retrieving.precision(rows, shown, set(target_names()))
        gallery = retrieving.gallery(rows, shown, self.retrieval.retrieved, artefacts / "retrieved")
        pictures.collect(artefacts, gallery)
        trained = self.stages.stamps["customize after"].result["trainable_parameters"]
        results = {arm: nest(values) for arm, values in self.results.items()}
        results |= {
            "gate_curve": curve,
            "seconds": self.stages.seconds,
            "retrieved": found,
            "trainable_parameters": trained,
            "settings": self._settings(weights),
            "provenance": self._provenance(),
        }
        check_demo_results(results)
        write_json(self.folder / "results.json", results)
        return write_report(self.folder / "results.json", artefacts, self.folder / "report.html")

    def _settings(self, weights: Options) -> Options:
        recipe = running.read_config(
            self.configs / RECIPES["after"], self.folder / "customize-after", {}
        )
        return {
            "gate_scale": self.gate_scales["after"],
            "iterations": recipe.train_cfg.max_iters,
            "teacher_weight": recipe.model.teacher_weight,
            "gate_learning_rate": recipe.optim_wrapper.paramwise_cfg.gate_lr,
            "dense_mode": self.dense["dense_mode"],
            "background_threshold": self.dense["threshold"],
            "vlm_score_weight": {"base": weights["base"], "novel": weights["novel"]},
            "seed": self.seed,
        }

    def _provenance(self) -> Options:
        world = read_json(retrieving.DATA / "world.json")
        hashes = {part: world["parts"][part]["sha256"] for part in PARTS}
        return {"world": hashes, "base": self._base_hash(), **running.versions()}


def _dense(row: Options) -> Options:
    return {
        "model.backbone.dense_mode": row["dense_mode"],
        "model.background.threshold": row["threshold"],
    }


def _weights(weights: Options) -> Options:
    key = "model.roi_head.score_combiner"
    return {f"{key}.base": weights["base"], f"{key}.novel": weights["novel"]}
