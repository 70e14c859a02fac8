"""Finds the checkpoint to continue from."""

import logging
from pathlib import Path

from mmengine.logging import print_log

from react_mm.engine.safe_loading import UnsafeCheckpointError, safe_torch_load

POINTER = "last_checkpoint"


def is_loadable(path: str | Path) -> bool:
    """Whether a checkpoint can be read whole, as plain tensors, and can be resumed from."""
    try:
        checkpoint = safe_torch_load(path, map_location="cpu")
    except (UnsafeCheckpointError, OSError):
        return False
    return isinstance(checkpoint, dict) and {"meta", "state_dict"} <= set(checkpoint)


def find_newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint of a run that can be loaded.

    A kill can leave unfinished files, or a finished checkpoint that the pointer does not name yet.
    So every ``epoch_*.pth`` and ``iter_*.pth`` is a candidate, last written first, and each is read
    before it is chosen. A folder that was moved works, too.

    Args:
        work_dir: The run's folder.

    Returns:
        Its path, or None where there is none.
    """
    folder = Path(work_dir)
    candidates = [p for pattern in ("epoch_*.pth", "iter_*.pth") for p in folder.glob(pattern)]
    pointer = folder / POINTER
    if pointer.is_file():
        named = Path(pointer.read_text(encoding="utf-8").strip())
        candidates += [p for p in (named, folder / named.name) if p.is_file()]
    unique = {p.resolve(): p for p in candidates}.values()
    for path in sorted(unique, key=_age, reverse=True):
        if is_loadable(path):
            return path
        print_log(f"{path} cannot be loaded, trying an older one", "current", logging.WARNING)
    return None


def _age(path: Path) -> tuple[int, int]:
    digits = "".join(c for c in path.stem if c.isdigit())
    return path.stat().st_mtime_ns, int(digits or 0)
