"""The chain's jobs: module-level functions with plain arguments, so that a lane can run them."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from react_mm.chain.links import inputs_of, write_inputs
from react_mm.chain.settings import HoldOut
from react_mm.chain.splits import turn_to_validation
from react_mm.engine.launching import prepare
from react_mm.engine.running import quiet, read_config, runner_of
from react_mm.evaluation.comparison import outcomes_of, plain_metrics
from react_mm.evaluation.outcomes import save_outcomes
from react_mm.manifest import read_json, sha256_bytes, sha256_file, write_json

Options = Mapping[str, Any]
Sources = Mapping[str, Path]


def customize(
    path: Path, options: Options, delta: Path, root: Path, sources: Sources, resume: bool
) -> dict[str, Any]:
    """Trains a customization in the delta's folder.

    Args:
        path: Config file.
        options: As after ``--cfg-options``.
        delta: Where ``ExportHook`` puts the stored customization.
        root: The chain's folder.
        sources: Inputs that the card names.
        resume: Whether to go on from a checkpoint of a killed run with the same settings.

    Returns:
        Hash of the delta, numbers of trained parameters and of iterations.
    """
    title = delta.parent.name.replace("-", " ")
    runner = _train(path, options, delta.parent, root, sources, resume, title)
    write_inputs(delta.with_suffix(".json"), root, sources)
    trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    delta_hash = read_json(delta.with_suffix(".json"))["delta_hash"]
    return {"trainable_parameters": trained, "iterations": runner.iter, "delta_hash": delta_hash}


def train_detector(
    path: Path, options: Options, checkpoint: Path, root: Path, sources: Sources, resume: bool
) -> dict[str, Any]:
    """Trains a detector on the base classes in the checkpoint's folder; writes its card.

    The validation split is left alone: training neither measures on it nor on the test split.

    Args:
        path: Config file.
        options: As after ``--cfg-options``.
        checkpoint: Where the trained detector goes; its card lies beside it.
        root: The chain's folder.
        sources: Inputs that the card names.
        resume: As for :func:`customize`.

    Returns:
        sha256 of the checkpoint, numbers of trained parameters and of iterations.
    """
    work_dir = checkpoint.parent
    runner = _train(path, options, work_dir, root, sources, resume, work_dir.name.replace("-", " "))
    last = work_dir / Path((work_dir / "last_checkpoint").read_text().strip()).name
    last.replace(checkpoint)
    trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    card = {
        "config": str(path),
        "options": dict(options),
        "iterations": runner.iter,
        "trainable_parameters": trained,
        "base_classes": list(runner.model.base_classes),
        "sha256": sha256_file(checkpoint),
        "inputs": inputs_of(root, sources),
    }
    write_json(checkpoint.with_suffix(".json"), card)
    return {"trainable_parameters": trained, "iterations": runner.iter, "sha256": card["sha256"]}


def _train(
    path: Path,
    options: Options,
    work_dir: Path,
    root: Path,
    sources: Sources,
    resume: bool,
    title: str,
) -> Runner:
    """Trains without validation; the folder is emptied first unless a training is resumed."""
    arguments = argparse.Namespace(
        config=str(path),
        work_dir=str(work_dir),
        cfg_options=dict(options),
        launcher="none",
        local_rank=0,
    )
    with quiet():
        config = prepare(arguments)
        for key in ("val_dataloader", "val_evaluator", "val_cfg"):
            config[key] = None
        identity = {"config": _hash_of(config), "inputs": inputs_of(root, sources)}
        started = work_dir / "started.json"
        same = started.is_file() and read_json(started) == identity
        if not (resume and same):
            shutil.rmtree(work_dir, ignore_errors=True)
            write_json(started, identity)
        else:
            newest = prepare(arguments, resume="auto")
            config.resume, config.load_from = newest.resume, newest.load_from
        runner = runner_of(config, title)
        runner.train()
    return runner


def _hash_of(config: Config) -> str:
    text = json.dumps(config.to_dict(), sort_keys=True, default=str)  # pretty_text takes seconds
    return sha256_bytes(text.encode())


def measure(
    path: Path,
    work_dir: Path,
    options: Options,
    checkpoint: Path | None,
    hold_out: HoldOut | None,
    splits: Path,
    title: str,
) -> dict[str, float | None]:
    """Metrics on the validation split.

    Args:
        path: Config file.
        work_dir: Folder of logs.
        options: As after ``--cfg-options``.
        checkpoint: Weights of a detector, or None.
        hold_out: Where the split comes from; None: the config's own.
        splits: Folder of the files of ``hold_out``.
        title: Text in front of the progress bar.
    """
    with quiet():
        config = read_config(path, work_dir, options, checkpoint)
        turn_to_validation(config, hold_out, splits)
        return plain_metrics(_tested(config, title)[1])


def evaluate(
    path: Path,
    work_dir: Path,
    options: Options,
    checkpoint: Path | None,
    card: Path,
    root: Path,
    sources: Sources,
    title: str,
) -> dict[str, Any]:
    """Opens the test split once for one arm; writes the metrics and what was right, per image.

    Args:
        path: Config file.
        work_dir: Folder of logs.
        options: As after ``--cfg-options``.
        checkpoint: Weights of a detector, or None.
        card: JSON file for the metrics; outcomes go beside it as ``.npz``.
        root: The chain's folder.
        sources: Inputs that the card names.
        title: Text in front of the progress bar.

    Returns:
        The metrics.
    """
    start = time.perf_counter()
    with quiet():
        runner, metrics = _tested(read_config(path, work_dir, options, checkpoint), title)
    outcomes, headline = outcomes_of(runner, metrics)
    save_outcomes(card.with_suffix(".npz"), outcomes)
    found = plain_metrics(metrics)
    content = {
        "config": str(path),
        "options": dict(options),
        "metrics": found,
        "headline": headline,
        "seconds": round(time.perf_counter() - start, 2),
        "inputs": inputs_of(root, sources),
    }
    write_json(card, content)
    return {"metrics": found, "headline": headline}


def _tested(config: Config, title: str) -> tuple[Runner, dict[str, Any]]:
    """Runs the test loop alone."""
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        config[key] = None
    for key in ("val_dataloader", "val_evaluator", "val_cfg"):
        config[key] = None
    config.test_cfg = config.get("test_cfg") or dict(type="TestLoop")
    runner = runner_of(config, title)
    return runner, runner.test()
