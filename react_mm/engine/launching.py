"""What tools/train.py and tools/test.py share: arguments, the checked config, the runner."""

import argparse
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from react_mm.engine.configuration import load_config
from react_mm.engine.resuming import find_newest_checkpoint
from react_mm.engine.safe_loading import install_safe_loading
from react_mm.manifest import ManifestError, RunLock, write_json
from react_mm.prompts import read_concepts

HOOK = "react_mm.VocabularyHook"
WAIT_FOR_WORKERS = 15  # seconds

CPU_WRAPPER = dict(
    type="MMDistributedDataParallel",
    device_ids=None,
    broadcast_buffers=False,
    find_unused_parameters=True,
)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that training and testing share."""
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--work-dir", help="folder for logs and results; default work_dirs/<config name>"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        help="change values of the config: KEY=VALUE with dotted keys, KEY=a,b for lists",
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="job launcher",
    )
    parser.add_argument(
        "--vocabulary",
        help="file of class names, one per line (`name; synonym; synonym`), in place of the data "
        "set's; where figures are computed they must be its classes",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def prepare(
    args: argparse.Namespace, resume: str | None = None, checkpoint: str | None = None
) -> Config:
    """Reads and checks the config; decides where to start from.

    Args:
        args: Of a parser with :func:`add_common_arguments`.
        resume: ``auto``, a checkpoint, or None for a fresh start.
        checkpoint: Weights to load without resuming.

    Raises:
        FileNotFoundError, ConfigKeyError, ValueError: If something named does not exist.
    """
    install_safe_loading()
    config = load_config(args.config, args.cfg_options)
    if getattr(args, "vocabulary", None) is not None:
        use_vocabulary(config, args.vocabulary)
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get("work_dir") is None:
        config.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    if checkpoint is not None:
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f"checkpoint {checkpoint} does not exist")
        config.load_from = checkpoint
    if resume is not None:
        newest = find_newest_checkpoint(config.work_dir) if resume == "auto" else Path(resume)
        if newest is not None and not newest.is_file():
            raise FileNotFoundError(f"checkpoint {newest} does not exist")
        config.resume = newest is not None
        if newest is None:
            print_log(f"nothing to resume in {config.work_dir}: starting anew", logger="current")
        else:
            config.load_from = str(newest)
    if config.launcher != "none" and not torch.cuda.is_available():
        _start_gloo(config)
    return config


def use_vocabulary(config: Config, path: str) -> None:
    """Makes the config's vocabulary hook read its names from a file.

    Args:
        config: A config, with or without the hook; changed in place.
        path: File of names; see :class:`react_mm.engine.vocabulary_hook.VocabularyHook`.

    Raises:
        FileNotFoundError, ValueError: If the file does not exist, is empty or names a class twice.
    """
    names = read_concepts(path)
    hooks = [dict(h) for h in config.get("custom_hooks") or []]
    own = [hook for hook in hooks if hook.get("type") == HOOK]
    if not own:
        own = [dict(type=HOOK)]
        hooks += own
    for hook in own:
        hook["vocabulary"] = str(path)
    config.custom_hooks = hooks
    print_log(f"vocabulary {path}: {len(names)} names", logger="current")


def _start_gloo(config: Config) -> None:
    """Processes on CPUs: the group must exist before mmengine would ask for CUDA devices."""
    if not torch.distributed.is_initialized():
        if "RANK" not in os.environ:
            raise ValueError(
                "--launcher on CPUs needs torchrun's variables: use tools/dist_train.sh"
            )
        torch.distributed.init_process_group("gloo")
    config.setdefault("model_wrapper_cfg", CPU_WRAPPER)


def build_runner(config: Config) -> Runner:
    """Builds the runner that the config names (mmengine's own by default)."""
    if "runner_type" in config:
        return RUNNERS.build(config)
    return Runner.from_cfg(config)


@contextmanager
def locked(config: Config) -> Iterator[None]:
    """Keeps a second run out of the work dir while the block runs.

    The data loader's workers of a run that was just killed hold its lock for some seconds more;
    that is waited for.

    Raises:
        ManifestError: If another run is writing there.
    """
    if int(os.environ.get("RANK", "0")):
        yield
        return
    lock = RunLock(config.work_dir)
    for attempt in range(WAIT_FOR_WORKERS * 2):
        try:
            lock.__enter__()
            break
        except ManifestError:
            if attempt == WAIT_FOR_WORKERS * 2 - 1 or _holder_lives(Path(config.work_dir)):
                raise
            time.sleep(0.5)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _holder_lives(folder: Path) -> bool:
    try:
        os.kill(int((folder / ".lock").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def write_metrics(path: str | Path, metrics: Mapping[str, Any], config: Config) -> None:
    """Writes metrics with the config they belong to as JSON, atomically; null for no number."""
    values = {k: v.item() if hasattr(v, "item") else v for k, v in metrics.items()}
    lacking = {k for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)}
    values = {k: None if k in lacking else v for k, v in values.items()}
    content = {
        "config": str(config.filename),
        "load_from": config.get("load_from"),
        "metrics": values,
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    print_log(f"metrics written to {path}", logger="current", level=logging.INFO)
