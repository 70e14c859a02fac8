"""The rows of the customization table: what each trains on, and how it is turned down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from react_mm.benchmarks.photo_evaluation import Domain
from react_mm.checkpoints import load_delta
from react_mm.engine.running import metrics_of, train
from react_mm.models.clip import CLIP
from react_mm.models.customization import apply_delta
from react_mm.models.interpolation import interpolated
from react_mm.registry import MODELS


@dataclass(frozen=True)
class Row:
    """A row that is trained through the runner.

    Attributes:
        config: Suffix of ``configs/customization/METHOD_lite_grocery_SUFFIX.py``.
        method: Its customization method.
        title: What the table calls it.
        pairs: Folder of the pairs, below the retrieval's.
        general: Whether general images are in the batch.
        hard: Whether hard pairs are.
        dense: Whether its dense embedding is measured, too.
        main: Whether the row is also run on the smaller settings.
    """

    config: str
    title: str
    method: str = "gated-image"
    pairs: str = "retrieved"
    general: bool = False
    hard: bool = False
    dense: bool = False
    main: bool = False

    @property
    def by_gates(self) -> bool:
        """Whether the gate scale turns it down; else interpolation with the start."""
        return self.method == "gated-image"


ROWS: dict[str, Row] = {
    "control": Row(
        "control", "control: random pairs of the pool", pairs="samples/control", general=True,
        main=True,
    ),
    "control-elsewhere": Row(
        "control-elsewhere", "control: random pairs without the domain's folder",
        pairs="samples/control-elsewhere", general=True,
    ),
    "string-match": Row(
        "recommended", "caption string match, gated-image + teacher", pairs="samples/string-match",
        general=True,
    ),
    "locked-text": Row("plain", "locked-text", method="locked-text", main=True),
    "locked-text-l2": Row("l2", "locked-text + L2 to the start", method="locked-text"),
    "published": Row("plain", "gated-image, one learning rate (published recipe)"),
    "plain": Row("no-teacher", "gated-image, plain", dense=True, main=True),
    "hard-pairs": Row("hard-pairs", "gated-image + hard pairs", hard=True),
    "dense": Row("dense", "gated-image + dense", dense=True, main=True),
    "dense-only": Row("dense-only", "dense only", dense=True),
    "teacher": Row("recommended", "gated-image + teacher", general=True, dense=True, main=True),
    "teacher-dense": Row(
        "teacher-dense", "gated-image + teacher + dense", general=True, dense=True
    ),
}  # fmt: skip


def training_options(
    row: Row, retrieval: Path, store: Path, seed: int, iterations: int
) -> dict[str, Any]:
    """Options with which ``tools/train.py CONFIG --cfg-options ...`` trains a row.

    Args:
        row: The row.
        retrieval: Work dir of the retrieval.
        store: Folder of the stored tokens.
        seed: Of the order of the pairs and of the blocks' first weights.
        iterations: Length of training.
    """
    pairs = "control" if row.pairs.startswith("samples/control") else "retrieved"
    options: dict[str, Any] = {
        pairs: str(retrieval / row.pairs),
        "randomness.seed": seed,
        "train_cfg.max_iters": iterations,
    }
    if row.by_gates:
        options["prefix_cache"] = str(store)
    if row.general:
        options["general"] = str(retrieval / "samples" / "general")
    if row.hard:
        options["train_dataloader.sampler.hard_pairs"] = str(retrieval / "hard_pairs")
    return options | {f"val_{key}": None for key in ("cfg", "dataloader", "evaluator")}


def config_of(row: Row, configs: Path) -> Path:
    """The config of a row."""
    return configs / "customization" / f"{row.method}_lite_grocery_{row.config}.py"


def train_row(
    config: Path, work_dir: Path, options: Mapping[str, Any], title: str
) -> dict[str, Any]:
    """Trains a row, also in another process.

    Returns:
        ``gates``: tanh of every gate; ``trainable``: number of trained parameters;
        ``cpu_seconds``: processor time, which a busy neighbour stretches less than the wall clock.
    """
    started = time.process_time()
    runner = train(config, work_dir, dict(options), title)
    named = dict(runner.model.named_parameters())
    return {
        "gates": [float(p.tanh()) for n, p in named.items() if "alpha_" in n],
        "trainable": sum(p.numel() for p in named.values() if p.requires_grad),
        "cpu_seconds": time.process_time() - started,
    }


class TrainedRow:
    """A customized model that can be moved between its base (0) and itself (1).

    Args:
        configs: Folder of the shipped configs.
        row: The row.
        delta: What it trained.
    """

    def __init__(self, configs: Path, row: Row, delta: Path) -> None:
        self.row = row
        config = Config.fromfile(str(configs / "_base_/models/lite.py")).model
        self.model: CLIP = MODELS.build(dict(config)).eval()
        if row.by_gates:
            apply_delta(self.model.image_tower, str(delta))
            return
        state, card = load_delta(delta)
        names = set(card["image_tensors"])
        self._end = {k: v for k, v in state.items() if k in names}
        own = self.model.image_tower.state_dict()
        self._start = {k: own[k].clone() for k in names}

    def at(self, scale: float) -> CLIP:
        """The model at a gate scale, or at a share of the customized weights."""
        if self.row.by_gates:
            self.model.set_gate_scale(scale)
        else:
            mixed = interpolated(self._start, self._end, scale)
            with torch.no_grad():
                own = self.model.image_tower.state_dict()
                for key, value in mixed.items():
                    own[key].copy_(value)
        return self.model


def dense_options(delta: Path | None, scale: float) -> dict[str, Any]:
    """Options that put a gated customization on the backbone of a dense task."""
    if delta is None:
        return {}
    return {"model.backbone.delta": str(delta), "model.backbone.gate_scale": scale}


def measure_dense(
    config: Path, work_dir: Path, options: Mapping[str, Any], title: str, metric: str
) -> dict[str, float]:
    """One metric of a dense task, also in another process; ``value`` is a fraction."""
    return {"value": metrics_of(config, work_dir, options, title, None)[metric]}


def retrieval_settings(
    configs: Path, domain: Domain, work_dir: Path, struck: bool, quick: bool
) -> dict[str, Any]:
    """The retrieval config of a domain as the runner uses it.

    Args:
        configs: Folder of the shipped configs.
        domain: The domain.
        work_dir: Where it works.
        struck: Whether the class names are struck out of the pool's captions.
        quick: A smaller set, to see that everything runs.
    """
    settings = Config.fromfile(str(configs / domain.retrieval)).to_dict()
    settings["work_dir"] = str(work_dir)
    settings["hard_pairs"] = {"k": 10}
    if struck:
        names = settings["query"]["concepts"]
        settings["pool"] = [{**source, "strike": names} for source in settings["pool"]]
    if quick:
        settings["search"]["k"] = 5
        settings["sample"][0]["number"] = 50
    return settings
