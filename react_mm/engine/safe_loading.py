"""Makes every checkpoint load of mmengine safe: nothing in a file is ever executed.

mmengine 0.10.12 loads with ``weights_only=True`` first but falls back to ``weights_only=False``
when that fails, which runs whatever the file holds. :func:`install_safe_loading` replaces the one
function behind all of mmengine's local loads by a strict one, and its download by one that loads as
strictly.
"""

import re
from pathlib import Path
from typing import Any

import mmengine.runner.checkpoint as mm_checkpoint
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from react_mm.checkpoints import check_checksums, load_state


def _statistic(owner: Any, name: str) -> Any:
    """Stands in for ``getattr``, by which a pickled HistoryBuffer names its own statistics."""
    if owner is HistoryBuffer and name in ("min", "max", "mean", "current"):
        return getattr(owner, name)
    raise ValueError(f"the file asks for the attribute {name!r} of {owner!r}")


SAFE_GLOBALS = [
    (_statistic, "builtins.getattr"),
    HistoryBuffer,
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
    *{type(np.dtype(kind)) for kind in (bool, "i1", "u1", "i4", "u4", "i8", "u8", "f4", "f8")},
]


class UnsafeCheckpointError(ValueError):
    """A checkpoint that is damaged, or that would have to be executed to be read."""


def safe_torch_load(file: Any, map_location: Any = None, **_: Any) -> Any:
    """``torch.load`` restricted to tensors, plain containers and mmengine's log buffers.

    Args:
        file: Path or file object; a ``.safetensors`` path gives its state dict.
        map_location: As for ``torch.load``.

    Raises:
        UnsafeCheckpointError: If the file holds anything else or is damaged; nothing was executed.
        FileNotFoundError: If it does not exist.
    """
    if isinstance(file, (str, Path)) and str(file).endswith(".safetensors"):
        return {"state_dict": load_state(file)}
    try:
        if isinstance(file, (str, Path)):
            check_checksums(file)
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(file, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise UnsafeCheckpointError(
            f"checkpoint {file} cannot be loaded as plain tensors and numbers: {_reason(error)} "
            "Nothing in it was executed. It is damaged, or was saved with objects that need code "
            "to load; re-save it as tensors or safetensors."
        ) from error


def _reason(error: Exception) -> str:
    """torch's message without its advice to load unsafely."""
    found = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    return (found.group(1) if found else str(error)).split(". ")[0].strip() + "."


def _safe_load_url(url: str, model_dir: str | None = None, **options: Any) -> Any:
    options["weights_only"] = True
    return torch.hub.load_state_dict_from_url(url, model_dir=model_dir, **options)


def install_safe_loading() -> None:
    """Replaces mmengine's loaders; calling it again changes nothing."""
    mm_checkpoint._safe_torch_load = safe_torch_load
    mm_checkpoint.load_url = _safe_load_url
