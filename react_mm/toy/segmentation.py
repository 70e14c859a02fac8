"""Segmentation on one seed of the drawn world: every variant and head, three towers.

The demo of that seed must have ended: its base, its customized tower and its choices are used. The
tower that also learned from regions is trained here, by the recipe of
``react_mm.toy.methods.ROWS``, unless that run has trained it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job, Stages
from react_mm.manifest import RunLock, read_json, sha256_file, write_json
from react_mm.models.layers.dense_attention import DENSE_MODES, LOCAL
from react_mm.toy.demo.tasks import TASKS, Options, with_delta
from react_mm.toy.methods import customized_row
from react_mm.toy.seeds import DEMO, interval

FOLDER = Path("work_dirs/segmentation")
DENSE_ROW = "gated-image + teacher + dense"
TOWERS = ("plain", "customized", "customized + dense")
VARIANTS = (*DENSE_MODES, LOCAL)
HEADS = {
    "cosine head": "segmentation/cosine-head_toy-vit_toy.py",
    "cost aggregation": "segmentation/cost-aggregation_toy-vit_toy.py",
}
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)
FIGURES = {
    "target": "segmentation/mIoU_target",
    "other": "segmentation/mIoU_other",
    "harmonic": "segmentation/mIoU_harmonic",
    "zero_iou": "segmentation/zero_iou",
}


def run_segmentation(folder: Path, seed: int, short: bool = False) -> dict[str, Any]:
    """Measures every row on every tower; finished stages are reused.

    The background's threshold of each training-free variant is the best of the plain tower on the
    validation scenes. Both heads are trained on the other families, so the target is unseen.

    Args:
        folder: Folder of the seed, as :func:`react_mm.toy.seeds.run_seed` leaves it.
        seed: Seed of training.
        short: Two steps and eight scenes each, to see that it runs.

    Returns:
        ``rows``: by row and tower the figures of :data:`FIGURES` on the test scenes, fractions;
        ``thresholds``; ``seconds`` per stage. Also written to ``segmentation.json``.

    Raises:
        FileNotFoundError: If the seed's demo has not ended.
    """
    if not (folder / DEMO / "results.json").is_file():
        raise FileNotFoundError(
            f"{folder / DEMO / 'results.json'} does not exist: run tools/reproduce_toy_world.py "
            f"--seeds {seed} first"
        )
    with contextlib.chdir(folder):  # the configs' paths are relative
        lanes = Lanes()
        with RunLock(FOLDER), contextlib.closing(lanes):
            found = _Study(seed, short, lanes).run()
        write_json(FOLDER / "segmentation.json", found)
    return found


class _Study:
    def __init__(self, seed: int, short: bool, lanes: Lanes) -> None:
        self.seed, self.short, self.lanes = seed, short, lanes
        self.configs, self.stages = running.configs_folder(), Stages(FOLDER)
        self.task = TASKS["segmentation"]

    def run(self) -> dict[str, Any]:
        towers = self._towers()
        thresholds = self._thresholds()
        heads = {
            (h, t): self._training(h, t, towers[t]) for h, t in itertools.product(HEADS, TOWERS)
        }
        self.stages.run_beside(list(heads.values()), self.lanes)
        jobs = {
            (row, tower): self._variant(row, tower, towers[tower], thresholds[row])
            for row, tower in itertools.product(VARIANTS, TOWERS)
        }
        jobs |= {
            (row, tower): self._head(row, tower, towers[tower])
            for row, tower in itertools.product(HEADS, TOWERS)
        }
        measured = self.stages.run_beside(list(jobs.values()), self.lanes)
        rows: dict[str, dict[str, Any]] = {}
        for (row, tower), job in jobs.items():
            rows.setdefault(row, {})[tower] = measured[job.name]
        return {
            "seed": self.seed,
            "rows": rows,
            "thresholds": thresholds,
            "seconds": self.stages.seconds,
        }

    def _towers(self) -> dict[str, Options]:
        """Options of each tower on a segmentation config."""
        choices = read_json(DEMO / "results.json")["settings"]
        dense, scale = customized_row(DENSE_ROW, self.seed, self.short, self.lanes)
        own = DEMO / "customize-after" / "customized.safetensors"
        return {
            "plain": {},
            "customized": with_delta(self.task, own, choices["gate_scale"]),
            "customized + dense": with_delta(self.task, dense, scale),
        }

    def _scenes(self, split: str) -> Options:
        options = dict(self.task.on_val) if split == "val" else {}
        if self.short:
            options["test_dataloader.dataset.indices"] = 8
        return options

    def _job(
        self,
        name: str,
        config: str,
        options: Options,
        checkpoint: Path | None = None,
        after: Sequence[str] = (),
    ) -> Job:
        path, work_dir = self.configs / config, FOLDER / "test" / name.replace(" ", "-")
        settings = {
            "config": running.text_of(path, work_dir, options),
            "weights": _hash_of(options.get("model.backbone.delta")),
        }
        return Job(name, measure, (path, work_dir, options, checkpoint, name), settings, after)

    def _mode(self, mode: str, threshold: float) -> Options:
        return {
            "model.backbone.dense_mode": mode,
            "model.background.threshold": threshold,
        }

    def _thresholds(self) -> dict[str, float]:
        """The background's threshold of each variant by the plain tower's validation mIoU."""
        grid = list(itertools.product(VARIANTS, THRESHOLDS))
        jobs = {
            (mode, t): self._job(
                f"val {mode} {t:g}",
                self.task.config,
                {**self._mode(mode, t), **self._scenes("val")},
            )
            for mode, t in grid
        }
        measured = self.stages.run_beside(list(jobs.values()), self.lanes)
        value = {key: measured[job.name]["harmonic"] for key, job in jobs.items()}
        value = {key: -1.0 if math.isnan(v) else v for key, v in value.items()}
        # Where nothing of the target is found on the validation scenes, the other families decide.
        other = {key: measured[job.name]["other"] for key, job in jobs.items()}
        return {
            mode: max(THRESHOLDS, key=lambda t: (value[mode, t], other[mode, t]))
            for mode in VARIANTS
        }

    def _variant(self, mode: str, tower: str, options: Options, threshold: float) -> Job:
        options = {**self._mode(mode, threshold), **options, **self._scenes("test")}
        return self._job(f"{mode} {tower}", self.task.config, options)

    def _checkpoint(self, head: str, tower: str) -> Path:
        return FOLDER / "train" / f"{head} {tower}".replace(" ", "-") / "head.pth"

    def _training(self, head: str, tower: str, options: Options) -> Job:
        options = {**options, "randomness.seed": self.seed}
        if self.short:
            options["train_cfg.max_iters"] = 2
        checkpoint, path = self._checkpoint(head, tower), self.configs / HEADS[head]
        settings = {
            "config": running.text_of(path, checkpoint.parent, options),
            "weights": _hash_of(options.get("model.backbone.delta")),
        }
        name = f"train {head} {tower}"
        arguments = (path, options, checkpoint, name)
        return Job(name, train_head, arguments, settings, outputs=[checkpoint])

    def _head(self, head: str, tower: str, options: Options) -> Job:
        options = {**options, **self._scenes("test")}
        checkpoint = self._checkpoint(head, tower)
        name = f"{head} {tower}"
        return self._job(name, HEADS[head], options, checkpoint, after=[f"train {name}"])


def _hash_of(path: str | None) -> str | None:
    return None if path is None else sha256_file(path)


def train_head(path: Path, options: Options, checkpoint: Path, title: str) -> dict[str, Any]:
    """Trains a head in the checkpoint's folder, which is emptied first.

    Args:
        path: Config file.
        options: As after ``--cfg-options``.
        checkpoint: Where the weights go.
        title: Text in front of the progress bar.

    Returns:
        The number of trained parameters and of iterations.
    """
    shutil.rmtree(checkpoint.parent, ignore_errors=True)
    runner = running.train(path, checkpoint.parent, options, title)
    last = Path((checkpoint.parent / "last_checkpoint").read_text().strip())
    last.replace(checkpoint)
    trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    return {"trainable_parameters": trained, "iterations": runner.iter}


def measure(
    path: Path, work_dir: Path, options: Options, checkpoint: Path | None, title: str
) -> dict[str, float]:
    """Figures of :data:`FIGURES` of a config on the split its options say."""
    found = running.metrics_of(path, work_dir, options, title, checkpoint)
    return {name: found[key] for name, key in FIGURES.items()}


def segmentation_table(per_seed: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: rows and towers, mean and 95 % interval over seeds in per cent.

    ``+`` columns are the paired difference from the plain tower.

    Args:
        per_seed: What :func:`run_segmentation` returned for each seed.
    """
    head = "| | tower | unseen (target) | seen (other) | harmonic | zero IoU | + unseen | + seen |"
    lines = [head, "|---" * 8 + "|"]
    for row, tower in itertools.product(per_seed[0]["rows"], TOWERS):
        cells = [_cell([seed["rows"][row][tower][name] for seed in per_seed]) for name in FIGURES]
        for name in ("target", "other"):
            pairs = [(s["rows"][row][tower][name], s["rows"][row]["plain"][name]) for s in per_seed]
            cells.append("" if tower == "plain" else _cell([a - b for a, b in pairs]))
        lines.append(f"| {row} | {tower} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    mean, half = interval(values)
    return f"{100 * mean:.1f}" + ("" if math.isnan(half) else f" ± {100 * half:.1f}")
