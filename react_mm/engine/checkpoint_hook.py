# ruff: noqa: NPY002 (timm and torchvision draw from the global generators)
"""A checkpoint hook that at every moment leaves a loadable checkpoint behind."""

import random
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from react_mm.engine.resuming import POINTER
from react_mm.engine.safe_loading import install_safe_loading, safe_torch_load
from react_mm.manifest import TEMPORARY_PREFIX, atomic_path
from react_mm.registry import HOOKS

RNG_KEY = "rng_states"


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Writes to a temporary name, verifies, renames, updates the pointer, and only then prunes.

    mmengine's own hook deletes the old checkpoint before it writes the new one, in place: a kill
    during the save loses both. Here the order is: write ``.tmp-*``, read it back
    (``weights_only=True``) and compare with what was to be saved, flush to disk, ``os.replace``,
    flush the folder, replace ``last_checkpoint`` in the same way, delete what is beyond
    ``max_keep_ckpts``. A prune that a kill prevented is made up for when the run resumes.

    The states of the random generators of every process are saved too and restored on resume, so
    that a model with dropout continues as the unbroken run would. Loading is safe throughout
    (:mod:`react_mm.engine.safe_loading`).

    Args:
        **kwargs: Those of mmengine's ``CheckpointHook`` (``interval``, ``by_epoch``,
            ``max_keep_ckpts``, ``save_last``, ``save_best``, ...). Local folders only.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.args:  # mmengine would stumble over them at the first save
            raise TypeError(f"SafeCheckpointHook has no arguments {sorted(self.args)}")
        self._rng: list[dict[str, Any]] | None = None
        self._to_restore: list[dict[str, Any]] | None = None

    def before_run(self, runner: Runner) -> None:
        """Makes mmengine's loaders safe before anything is loaded."""
        install_safe_loading()

    def before_train(self, runner: Runner) -> None:
        """Prepares the folder: what a killed run left unfinished goes."""
        super().before_train(runner)
        if self.max_keep_ckpts > 0:  # the parent's deque would drop entries by itself
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)
        if is_main_process():
            Path(self.out_dir).mkdir(parents=True, exist_ok=True)
            for leftover in Path(self.out_dir).glob(f"{TEMPORARY_PREFIX}*.pth"):
                leftover.unlink(missing_ok=True)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Restores the generators of a resumed run, once.

        Not earlier: the data loader draws from torch's generator when its iterator is made.
        """
        if self._to_restore is not None and len(self._to_restore) > get_rank():
            restore_rng(self._to_restore[get_rank()])
        self._to_restore = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remembers the generators' states where the run is resumed (not merely initialised)."""
        if getattr(runner, "_resume", False):
            self._to_restore = checkpoint.get(RNG_KEY)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Adds the generators' states, gathered before."""
        if self._rng is not None:
            checkpoint[RNG_KEY] = self._rng

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        self._rng = all_gather_object(rng_state())
        obsolete: list[int] = []
        if self.max_keep_ckpts > 0:
            if not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step:
                self.keep_ckpt_ids.append(step)
            while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
                obsolete.append(self.keep_ckpt_ids.popleft())
            runner.message_hub.update_info("keep_ckpt_ids", [*obsolete, *self.keep_ckpt_ids])
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        with atomic_saving(runner):
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
            )
        self._point_and_prune(runner, obsolete)

    @master_only
    def _point_and_prune(self, runner: Runner, obsolete: list[int]) -> None:
        with atomic_path(Path(runner.work_dir) / POINTER) as temporary:
            temporary.write_text(self.last_ckpt, encoding="utf-8")
        for step in obsolete:
            (Path(self.out_dir) / self.filename_tmpl.format(step)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """mmengine's rule; the previous best is deleted after the new one is in place."""
        if not self.save_best:
            return
        self._rng = all_gather_object(rng_state())
        backend, self.file_backend = self.file_backend, _LateRemoval(self.file_backend)
        late = self.file_backend
        try:
            with atomic_saving(runner):
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        kept = {self.best_ckpt_path} if hasattr(self, "best_ckpt_path") else set()
        kept |= set(getattr(self, "best_ckpt_path_dict", {}).values())
        for path in late.removed:
            if path not in kept:
                backend.remove(path)


class _LateRemoval:
    """A file backend that notes removals instead of making them."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.removed: list[str] = []

    def remove(self, path: str) -> None:
        """Notes the path."""
        self.removed.append(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


@contextmanager
def atomic_saving(runner: Runner):
    """Inside the block ``runner.save_checkpoint`` writes verified files under their final names."""
    if "save_checkpoint" in vars(runner):  # the best one and the regular one at the same step
        yield
        return
    original = runner.save_checkpoint

    def save(out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Saves under a temporary name, verifies, renames."""
        if not is_main_process():
            return
        with atomic_path(Path(out_dir) / filename) as temporary:
            original(str(temporary.parent), temporary.name, *args, **kwargs)
            verify(temporary, runner)

    runner.save_checkpoint = save
    try:
        yield
    finally:
        del runner.save_checkpoint


def verify(path: Path, runner: Runner) -> None:
    """Reads a checkpoint back and compares its tensors with the model's.

    Raises:
        OSError: If they differ or the file cannot be read (a full disk, a failing one).
    """
    try:
        stored = safe_torch_load(path, map_location="cpu")["state_dict"]
    except Exception as error:
        raise OSError(f"checkpoint {path} could not be read back after writing: {error}") from error
    model = getattr(runner.model, "module", runner.model)
    own = model.state_dict()
    wrong = [k for k in own if k not in stored or not _same(own[k], stored[k])]
    if wrong and not _replaced_by_hooks(runner):
        raise OSError(f"checkpoint {path} differs from the model after writing: {wrong[:5]}")


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor):
        return True
    a = a.cpu()
    same_nan = a.is_floating_point() and bool(((a == b) | (a.isnan() & b.isnan())).all())
    return a.shape == b.shape and (same_nan or torch.equal(a, b))


def _replaced_by_hooks(runner: Runner) -> bool:
    """EMAHook swaps the averaged weights into the checkpoint: then only readability is checked."""
    return any(type(hook).__name__ == "EMAHook" for hook in runner.hooks)


def rng_state() -> dict[str, Any]:
    """States of ``random``, ``numpy.random``, ``torch`` (CPU, CUDA) as plain types and tensors."""
    kind, words, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [list(random.getstate()[1]), random.getstate()[2]],
        "numpy": [kind, words.tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Sets what :func:`rng_state` returned."""
    words, gauss = state["python"]
    random.setstate((3, tuple(words), gauss))
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, np.asarray(words, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
