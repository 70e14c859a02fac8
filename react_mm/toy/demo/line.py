"""The demo's line: every stage in its order, the validation split before the test split."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from react_mm.manifest import RunLock, read_json, sha256_file, write_json
from react_mm.models.open_clip_loading import resolve_weights
from react_mm.reporting.report import write_report
from react_mm.reporting.results import check_demo_results, nest
from react_mm.toy.demo import choices, pictures, retrieving, running
from react_mm.toy.demo.stages import Result, Stages
from react_mm.toy.demo.tasks import (
    ARMS,
    RECIPES,
    RETRIEVAL,
    TASKS,
    Options,
    Task,
    configs_folder,
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
        self.configs = configs_folder()
        self.retrieval = retrieving.Retrieval(self.configs / RETRIEVAL, self.folder / "retrieval")
        self.gate_scales: dict[str, float | None] = dict.fromkeys(ARMS)
        self.dense: Options = {}
        self.results: dict[str, dict[str, float]] = {arm: {} for arm in ARMS}

    def run(self) -> Path:
        """Runs what is not finished yet and returns the report's path."""
        with RunLock(self.folder):
            self.prepare()
            self.retrieval.run_all(self.stages, after=("world", "base"))
            for arm in RECIPES:
                self.customize(arm)
            curve = self.choose_gate_scale()
            self.choose_dense()
            for arm in ARMS:
                self.train_detector(arm)
            weights = self.choose_score_weights()
            for name, task in TASKS.items():
                for arm in ARMS:
                    self.measure(name, task, arm, weights)
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
        measured, _ = self._test(TASKS["zero-shot"], "before", on_val=True)
        return {"weights": self._base_hash(), **TASKS["zero-shot"].read(measured)}

    def customize(self, arm: str) -> None:
        """Trains one recipe; its delta is the stage's output."""
        path = self.configs / RECIPES[arm]
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
        name = f"customize {arm}"
        work_dir = self.stages.work_dir(name)

        def _train() -> Result:
            shutil.rmtree(work_dir, ignore_errors=True)
            runner = running.train(path, work_dir, options, name)
            trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
            return {"trainable_parameters": trained, "iterations": runner.iter}

        settings = {"config": running.text_of(path, work_dir, options)}
        delta = self.delta(arm)
        outputs = [delta, delta.with_suffix(".json")]
        self.stages.run(name, _train, settings, after=["export", "sample"], outputs=outputs)

    def delta(self, arm: str) -> Path | None:
        """The stored customization of an arm; None for the base."""
        if arm == "before":
            return None
        return self.folder / f"customize-{arm}" / "customized.safetensors"

    def choose_gate_scale(self) -> list[dict[str, Any]]:
        """Reads the gate scale of the recommended recipe from the validation split."""

        def _measure() -> Result:
            rows = []
            for scale in choices.GATE_SCALES:
                self.gate_scales["after"] = scale
                measured, _ = self._test(TASKS["zero-shot"], "after", on_val=True)
                target, other = TASKS["zero-shot"].read(measured).values()
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
            rows = []
            for mode in DENSE_MODES:
                for threshold in THRESHOLDS:
                    options = {
                        "model.backbone.dense_mode": mode,
                        "model.background.threshold": threshold,
                    }
                    measured, _ = self._test(task, "before", on_val=True, options=options)
                    miou = measured["segmentation/mIoU"]
                    rows.append({"dense_mode": mode, "threshold": threshold, "miou": miou})
            return {"rows": rows, **choices.choose_largest(rows, "miou")}

        settings = {"modes": DENSE_MODES, "thresholds": THRESHOLDS}
        settings["config"] = self._text("segmentation")
        self.dense = self.stages.run("dense mode", _measure, settings, after=["base"])

    def train_detector(self, arm: str) -> None:
        """Trains the box branch on the base families, the arm's tower frozen below it."""
        task = TASKS["detection"]
        name = f"train detector {arm}"
        work_dir = self.stages.work_dir(name)
        options = {**self._options(task, arm), "randomness.seed": self.seed}
        if self.short:
            options["train_cfg.max_iters"] = 2
        path = self.configs / task.config
        checkpoint = self.detector(arm)

        def _train() -> Result:
            shutil.rmtree(work_dir, ignore_errors=True)
            quick = {**options, "train_cfg.val_interval": 10**6}
            runner = running.train(path, work_dir, quick, name)
            last = Path((work_dir / "last_checkpoint").read_text().strip())
            if last.resolve() != checkpoint.resolve():
                shutil.copyfile(last, checkpoint)
                last.unlink()
            return {"iterations": runner.iter}

        settings = {"config": running.text_of(path, work_dir, options)}
        after = ["gate scale", "dense mode"] + ([f"customize {arm}"] if arm != "before" else [])
        self.stages.run(name, _train, settings, after=after, outputs=[checkpoint])

    def detector(self, arm: str) -> Path:
        """The trained box branch of an arm."""
        return self.folder / f"train-detector-{arm}" / "detector.pth"

    def choose_score_weights(self) -> Options:
        """Reads the weights of the VLM score from the base's and the customized detector's AP50.

        The largest mean over both arms and over base and novel wins, so that no arm is favoured.
        """
        task = TASKS["detection"]

        def _measure() -> Result:
            rows = []
            for base, novel in SCORE_WEIGHTS:
                row: dict[str, Any] = {"base": base, "novel": novel}
                for arm in ("before", "after"):
                    options = _weights({"base": base, "novel": novel})
                    measured, _ = self._test(task, arm, on_val=True, options=options)
                    row[arm] = task.read(measured)
                row["mean"] = sum(sum(row[arm].values()) for arm in ("before", "after")) / 4
                rows.append(row)
            best = choices.choose_largest(rows, "mean")
            return {"rows": rows, "base": best["base"], "novel": best["novel"]}

        after = ["train detector before", "train detector after"]
        settings = {"grid": SCORE_WEIGHTS, "config": self._text("detection")}
        return self.stages.run("score weights", _measure, settings, after=after)

    # ---------------------------------------------------------------------------- test and report

    def measure(self, name: str, task: Task, arm: str, weights: Options) -> None:
        """Measures one task for one arm on the test split, with pictures of before and after."""
        options = _weights(weights) if name == "detection" else {}
        folder = self.folder / "artefacts"
        drawn = folder / f"{name}-{arm}.json" if pictures.wanted(name, arm) else None

        def _run_test() -> Result:
            measured, runner = self._test(task, arm, options=options)
            if drawn is not None:
                pictures.save(name, runner, drawn)
            return task.read(measured)

        path = self.configs / task.config
        everything = {**self._options(task, arm), **options}
        settings = {"config": running.text_of(path, self.folder / "test", everything)}
        after = ["gate scale", "dense mode", "score weights"]
        after += [f"customize {arm}"] if arm != "before" else []
        after += [f"train detector {arm}"] if name == "detection" else []
        outputs = [drawn] if drawn is not None else []
        result = self.stages.run(f"{name} {arm}", _run_test, settings, after=after, outputs=outputs)
        self.results[arm].update(result)

    def _text(self, task: str) -> str:
        """A task's config without a customization: what a choice on the base depends on."""
        return running.text_of(self.configs / TASKS[task].config, self.folder / "test", {})

    def _options(self, task: Task, arm: str) -> Options:
        options = with_delta(task, self.delta(arm), self.gate_scales[arm])
        if task.tower == "model.backbone" and self.dense:
            options["model.backbone.dense_mode"] = self.dense["dense_mode"]
        if task is TASKS["segmentation"] and self.dense:
            options["model.background.threshold"] = self.dense["threshold"]
        return options

    def _test(
        self, task: Task, arm: str, on_val: bool = False, options: Options | None = None
    ) -> tuple[dict[str, float], Any]:
        everything = {**self._options(task, arm), **(task.on_val if on_val else {})}
        everything.update(options or {})
        if self.short and task is not TASKS["zero-shot"]:
            everything["test_dataloader.dataset.indices"] = 8
        path = self.configs / task.config
        checkpoint = self.detector(arm) if task is TASKS["detection"] else None
        title = f"{Path(task.config).parent.name} {arm} {'val' if on_val else 'test'}"
        return running.test(path, self.folder / "test", everything, title, checkpoint)

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


def _weights(weights: Options) -> Options:
    key = "model.roi_head.score_combiner"
    return {f"{key}.base": weights["base"], f"{key}.novel": weights["novel"]}
