"""The hook moves what is exported, not what a checkpoint resumes."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger

from react_mm.engine.export_hook import ExportHook
from react_mm.engine.interpolation_hook import InterpolationHook
from react_mm.models.interpolation import trained_state
from tests.tiny import build, open_gates, train, write_architecture, write_weights


@pytest.fixture
def base(tmp_path):
    arch = write_architecture(tmp_path)
    return arch, write_weights(arch, tmp_path / "base.safetensors")


def runner_of(model):
    return SimpleNamespace(model=model, logger=MMLogger.get_instance("test"))


def test_resumed_weights_do_not_count_as_the_start(base):
    model = build(base, method="locked-text")
    start, hook = trained_state(model), InterpolationHook(0.7)
    hook.before_run(runner_of(model))
    train(model)  # as a resumed checkpoint would change the weights
    customized = trained_state(model)
    hook.after_train(runner_of(model))
    for name, value in trained_state(model).items():
        torch.testing.assert_close(value, 0.7 * customized[name] + 0.3 * start[name])


def test_gates_are_scaled_and_the_export_comes_later(base):
    model = build(base, method="gated-image", method_options={"blocks": 2})
    open_gates(model)
    hook = InterpolationHook(0.7)
    hook.before_run(runner_of(model))
    hook.after_train(runner_of(model))
    assert model.delta_card()["gate_scale"] == 0.7
    order = ["HIGHEST", "VERY_HIGH", "HIGH", "ABOVE_NORMAL", "NORMAL", "BELOW_NORMAL", "LOW"]
    order += ["VERY_LOW", "LOWEST"]
    assert order.index(hook.priority) < order.index(ExportHook.priority)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        InterpolationHook(1.1)
