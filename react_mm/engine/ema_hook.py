"""The moving average of what trains, beside the weights that train."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from react_mm.registry import HOOKS

KEY = "ema"


@HOOKS.register_module()
class TrainableEMAHook(Hook):
    """Keeps an exponential moving average of the trainable parameters alone.

    mmengine's ``EMAHook`` copies the whole model, frozen towers and caption cache included; in
    gated-image that is several times what trains. Here

        average <- d * average + (1 - d) * weight,   d = min(decay, (1 + t) / (10 + t))

    after step t. Validation, the exported delta (:class:`react_mm.ExportHook`) and whoever loads a
    checkpoint without resuming get the average; a checkpoint holds the trained weights in
    ``state_dict`` and the average in ``ema``, and a resumed run continues both.

    Args:
        decay: d, at the most.
        warmup: Whether d rises as above; False keeps it at ``decay`` from the first step on.

    Raises:
        ValueError: If ``decay`` is not in [0, 1).
    """

    # First of all hooks: the average is up to date before a checkpoint is written, in the model
    # before a vocabulary is embedded, and out of it again before a best checkpoint is written.
    priority = "VERY_HIGH"

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"TrainableEMAHook: decay lies in [0, 1), not {decay}")
        self.decay, self.warmup = decay, warmup
        self.steps = 0
        self.average: dict[str, Tensor] = {}
        self._stored: dict[str, Any] | None = None
        self._aside: dict[str, Tensor] | None = None

    def before_train(self, runner: Runner) -> None:
        """Starts from the weights, or from where a resumed run was.

        Raises:
            ValueError: If the checkpoint's average is of other parameters.
        """
        own = _trainable(runner)
        self.average = {name: p.detach().clone() for name, p in own.items()}
        self.steps = 0
        if self._stored is None:
            return
        if set(self._stored["average"]) != set(own):
            differing = sorted(set(self._stored["average"]) ^ set(own))
            raise ValueError(f"the checkpoint's average is of other parameters: {differing[:5]}")
        self.steps = int(self._stored["steps"])
        for name, value in self._stored["average"].items():
            self.average[name].copy_(value)
        self._stored = None

    @torch.no_grad()
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Takes the step's weights into the average."""
        decay = self.decay
        if self.warmup:
            decay = min(decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for name, parameter in _trainable(runner).items():
            self.average[name].lerp_(parameter.detach(), 1 - decay)

    def before_val(self, runner: Runner) -> None:
        """Puts the average into the model, before a vocabulary is embedded."""
        self._swap_in(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Puts the trained weights back, before a best checkpoint is written."""
        self._swap_out(runner)

    def after_train(self, runner: Runner) -> None:
        """Leaves the average in the model: it is what gets exported."""
        self._swap_in(runner)
        self._aside = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Adds the average."""
        average = {name: value.cpu() for name, value in self.average.items()}
        checkpoint[KEY] = {"steps": self.steps, "average": average}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keeps the average of a resumed run; otherwise it takes the trained weights' place."""
        stored = checkpoint.get(KEY)
        if getattr(runner, "_resume", False):
            self._stored = stored
            if stored is None:
                runner.logger.warning("the checkpoint has no average: it starts from the weights")
        elif stored is not None:
            checkpoint["state_dict"].update(stored["average"])

    @torch.no_grad()
    def _swap_in(self, runner: Runner) -> None:
        if not self.average or self._aside is not None:
            return
        own = _trainable(runner)
        self._aside = {name: p.detach().clone() for name, p in own.items()}
        for name, parameter in own.items():
            parameter.copy_(self.average[name])

    @torch.no_grad()
    def _swap_out(self, runner: Runner) -> None:
        if self._aside is not None:
            for name, parameter in _trainable(runner).items():
                parameter.copy_(self._aside[name])
        self._aside = None


def _trainable(runner: Runner) -> dict[str, Tensor]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
