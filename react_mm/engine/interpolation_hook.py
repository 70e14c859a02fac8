"""At the end of training, moves the model back towards its start."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from react_mm.models.interpolation import interpolate_model, trained_state
from react_mm.registry import HOOKS


@HOOKS.register_module()
class InterpolationHook(Hook):
    """After training, alpha of the customized and 1 - alpha of the initial weights, key by key.

    It works before :class:`react_mm.ExportHook` writes the customization and after the last
    checkpoint was saved, which holds the model as trained: resuming is not disturbed. For
    gated-image and lora alpha is the gate scale that the exported card keeps.

    Args:
        alpha: Share of the customized weights (CLIPSelf: 0.7).

    Raises:
        ValueError: If alpha is outside [0, 1].
    """

    priority = "VERY_LOW"

    def __init__(self, alpha: float = 0.7) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"InterpolationHook: alpha lies in [0, 1], got {alpha}")
        self.alpha = alpha
        self._start: dict[str, Tensor] = {}

    def before_run(self, runner: Runner) -> None:
        """Keeps the initial weights; a checkpoint is resumed after this."""
        self._start = {k: v.cpu() for k, v in trained_state(_bare(runner)).items()}

    def after_train(self, runner: Runner) -> None:
        """Moves the model."""
        model = _bare(runner)
        interpolate_model(model, self._start, trained_state(model), self.alpha)
        runner.logger.info(f"customization moved to {self.alpha:g} of the way from its start")


def _bare(runner: Runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
