"""Configs through mmengine's runner inside this process, as tools/train.py and tools/test.py do.

What the runner logs goes to its files; the console shows a progress bar.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

import react_mm
from react_mm.engine.lanes import lane_number
from react_mm.engine.launching import build_runner, prepare
from react_mm.manifest import sha256_bytes


def configs_folder() -> Path:
    """Where the shipped configs lie: in the installed package, or in the checkout around it."""
    package = Path(react_mm.__file__).resolve().parent
    for folder in (package / ".mim" / "configs", package.parent / "configs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no configs beside {package}: install react_mm, or use its checkout")


class ProgressHook(Hook):
    """One progress bar for each loop of a runner.

    Args:
        title: Text in front of the bar.
    """

    priority = "LOW"

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar: tqdm | None = None

    def _open(self, total: int, part: str) -> None:
        self._close()
        text = f"   {self.title} {part}"
        where = lane_number()
        self.bar = tqdm(total=total, desc=text, leave=False, unit="batch", position=where)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _tick(self, *args: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update()

    def before_train(self, runner: Runner) -> None:
        """Opens the training bar."""
        self._open(runner.max_iters, "train")

    def before_test_epoch(self, runner: Runner) -> None:
        """Opens the test bar."""
        self._open(len(runner.test_dataloader), "test")

    def after_train(self, runner: Runner) -> None:
        """Closes the bar."""
        self._close()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Closes the bar."""
        self._close()

    after_train_iter = after_test_iter = _tick


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keeps standard output from the console while a runner is at work; shown when it fails."""
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held):
            yield held
    except BaseException:
        print(held.getvalue()[-4000:])
        raise


def read_config(
    path: Path, work_dir: Path, options: Mapping[str, Any], checkpoint: Path | None = None
) -> Config:
    """Reads a config exactly as the tools do.

    Args:
        path: Config file.
        work_dir: Folder of logs and results.
        options: As after ``--cfg-options``.
        checkpoint: Weights of the whole model to load.

    Returns:
        The checked config.
    """
    arguments = argparse.Namespace(
        config=str(path),
        work_dir=str(work_dir),
        cfg_options=dict(options),
        launcher="none",
        local_rank=0,
    )
    return prepare(arguments, checkpoint=None if checkpoint is None else str(checkpoint))


def text_of(path: Path, work_dir: Path, options: Mapping[str, Any]) -> str:
    """A config with its options as text: what a stage's stamp depends on."""
    with quiet():
        content = read_config(path, work_dir, options).to_dict()
    return json.dumps(content, sort_keys=True, default=str)


def source_hash(patterns: Sequence[str]) -> str:
    """Hash of the package's source files that fit the patterns, in the order of their names.

    Raises:
        FileNotFoundError: When a pattern fits no file.
    """
    package = Path(react_mm.__file__).parent
    data = []
    for pattern in patterns:
        found = sorted(package.glob(pattern))
        if not found:
            raise FileNotFoundError(f"no source file fits react_mm/{pattern}")
        data += [path.read_bytes() for path in found]
    return sha256_bytes(b"".join(data))


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on most."""
    names = ("react_mm", "torch", "open_clip_torch", "onedl-mmengine", "onedl-mmdetection")
    return {name: version(name) for name in names}


def runner_of(config: Config, title: str) -> Runner:
    """Builds a runner with a progress bar."""
    runner = build_runner(config)
    runner.register_hook(ProgressHook(title))
    return runner


def train(path: Path, work_dir: Path, options: Mapping[str, Any], title: str) -> Runner:
    """Trains as ``tools/train.py PATH --work-dir ... --cfg-options ...`` does."""
    with quiet():
        runner = runner_of(read_config(path, work_dir, options), title)
        runner.train()
    return runner


def test(
    path: Path,
    work_dir: Path,
    options: Mapping[str, Any],
    title: str,
    checkpoint: Path | None = None,
) -> tuple[dict[str, float], Runner]:
    """Tests as ``tools/test.py PATH CHECKPOINT --work-dir ... --cfg-options ...`` does."""
    with quiet():
        runner = runner_of(read_config(path, work_dir, options, checkpoint), title)
        metrics = runner.test()
    return {key: float(value) for key, value in metrics.items()}, runner


def metrics_of(
    path: Path, work_dir: Path, options: Mapping[str, Any], title: str, checkpoint: Path | None
) -> dict[str, float]:
    """What :func:`test` measures, without the runner: for another process."""
    return test(path, work_dir, options, title, checkpoint)[0]
