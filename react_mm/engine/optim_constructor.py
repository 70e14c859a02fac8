"""Parameter groups of customization."""

from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS
from torch import nn

from react_mm.models.layers.gated_attention import GATE_NAMES
from react_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class CustomizationOptimConstructor:
    """Weight decay on matrices only; the gates in a group of their own.

    REACT's trainer decays parameters of two or more dimensions and no others (facts A2). Gates
    start at zero and nothing behind them has a gradient until they open, so on small data they need
    a learning rate of their own (``gate_lr``).

    Args:
        optim_wrapper_cfg: ``dict(type=..., optimizer=dict(type='AdamW', lr=..., ...))``.
        paramwise_cfg: ``gate_lr``: learning rate of the gates (default: the optimizer's ``lr``).
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop("optimizer"))
        self.wrapper.setdefault("type", "OptimWrapper")
        options = dict(paramwise_cfg or {})
        self.gate_lr = options.pop("gate_lr", None)
        if options:
            raise ValueError(f"paramwise_cfg has no option {sorted(options)}; known: gate_lr")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Builds the wrapper over the trainable parameters of ``model``."""
        groups: list[dict[str, Any]] = [
            {"params": [], "name": "matrices"},
            {"params": [], "name": "vectors", "weight_decay": 0.0},
            {"params": [], "name": "gates", "weight_decay": 0.0},
        ]
        if self.gate_lr is not None:
            groups[2]["lr"] = self.gate_lr
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                is_gate = name.rpartition(".")[2] in GATE_NAMES
                groups[2 if is_gate else int(parameter.ndim < 2)]["params"].append(parameter)
        config = dict(self.optimizer, params=[group for group in groups if group["params"]])
        if not config["params"]:
            raise ValueError("nothing to train: the model has no parameter with requires_grad")
        return ROOT_OPTIM_WRAPPERS.build(dict(self.wrapper, optimizer=OPTIMIZERS.build(config)))
