"""The demo's jobs that run side by side: module-level functions with plain arguments."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from react_mm.engine import running
from react_mm.toy.demo import pictures
from react_mm.toy.demo.tasks import TASKS

Options = dict[str, Any]


def customize(path: Path, options: Options, delta: Path, title: str) -> dict[str, Any]:
    """Trains a recipe in the delta's folder, which is emptied first.

    Args:
        path: Config file.
        options: As after ``--cfg-options``.
        delta: Where the stored customization goes.
        title: Text in front of the progress bar.

    Returns:
        The number of trained parameters and of iterations.
    """
    shutil.rmtree(delta.parent, ignore_errors=True)
    runner = running.train(path, delta.parent, options, title)
    trained = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    return {"trainable_parameters": trained, "iterations": runner.iter}


def train_detector(path: Path, options: Options, checkpoint: Path, title: str) -> dict[str, Any]:
    """Trains the box branch in the checkpoint's folder, which is emptied first.

    Args:
        path: Config file.
        options: As after ``--cfg-options``.
        checkpoint: Where the trained detector goes.
        title: Text in front of the progress bar.

    Returns:
        The number of iterations.
    """
    work_dir = checkpoint.parent
    shutil.rmtree(work_dir, ignore_errors=True)
    runner = running.train(path, work_dir, {**options, "train_cfg.val_interval": 10**6}, title)
    last = Path((work_dir / "last_checkpoint").read_text().strip())
    last.replace(checkpoint)
    return {"iterations": runner.iter}


def measure(
    task: str,
    path: Path,
    work_dir: Path,
    options: Options,
    checkpoint: Path | None,
    drawn: Path | None,
    title: str,
) -> dict[str, float]:
    """Measures a task, and saves the pictures of a few scenes.

    Args:
        task: A key of :data:`react_mm.toy.demo.tasks.TASKS`.
        path: Config file.
        work_dir: Folder for logs.
        options: As after ``--cfg-options``.
        checkpoint: Weights of the whole model, for a detector.
        drawn: JSON file for the pictures; None for none.
        title: Text in front of the progress bar.

    Returns:
        The demo's metrics.
    """
    measured, runner = running.test(path, work_dir, options, title, checkpoint)
    if drawn is not None:
        pictures.save(task, runner, drawn)
    return TASKS[task].read(measured)
