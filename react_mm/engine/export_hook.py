"""Writes what training changed, once it has ended."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from react_mm.checkpoints import save_delta
from react_mm.engine.vocabulary_hook import innermost
from react_mm.registry import HOOKS


@HOOKS.register_module()
class ExportHook(Hook):
    """After training, stores the customization: ``customized.safetensors`` and its card.

    Args:
        filename: Name inside the work dir.
        extra: Further fields of the card.
    """

    priority = "LOWEST"

    def __init__(
        self, filename: str = "customized.safetensors", extra: dict[str, Any] | None = None
    ) -> None:
        self.filename = filename
        self.extra = dict(extra or {})

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Writes the delta; its card names the data set (and has its ``metainfo['card']``)."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        meta = getattr(innermost(runner.train_dataloader.dataset), "metainfo", {}) or {}
        extra = {
            "retrieved_set": meta.get("sources"),
            "pairs": meta.get("num_pairs"),
            "general": meta.get("num_general"),
            "config": str(runner.cfg.filename) if runner.cfg.filename else None,
            "iterations": runner.iter,
            "seed": runner.seed,
            **(meta.get("card") or {}),
            **self.extra,
        }
        path = save_delta(model, Path(runner.work_dir) / self.filename, extra)
        runner.logger.info(f"customization stored in {path}")
