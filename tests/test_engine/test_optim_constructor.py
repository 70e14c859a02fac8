"""Parameter groups of customization."""

import pytest

from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from tests.tiny import build, write_architecture, write_weights

ADAMW = {"optimizer": {"type": "AdamW", "lr": 5e-4, "weight_decay": 0.1}}


@pytest.fixture
def model(tmp_path):
    arch = write_architecture(tmp_path)
    base = arch, write_weights(arch, tmp_path / "w.safetensors")
    return build(base, method="gated-image", method_options={"blocks": 2})


def test_each_trainable_parameter_stands_in_its_group_once(model):
    groups = CustomizationOptimConstructor(ADAMW, {"gate_lr": 5e-2})(model).optimizer.param_groups
    by_name = {g["name"]: g for g in groups}
    owner = {id(p): g["name"] for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(owner)
    for name, parameter in model.named_parameters():
        expected = None
        if parameter.requires_grad:
            gate = name.endswith(("alpha_attn", "alpha_dense"))
            expected = "gates" if gate else "matrices" if parameter.ndim > 1 else "vectors"
        assert owner.get(id(parameter)) == expected, name
    assert by_name["gates"]["lr"] == 5e-2 and by_name["matrices"]["lr"] == 5e-4
    decays = {name: group["weight_decay"] for name, group in by_name.items()}
    assert decays == {"matrices": 0.1, "vectors": 0.0, "gates": 0.0}


def test_without_gate_lr_the_gates_follow_the_paper(model):
    groups = CustomizationOptimConstructor(ADAMW)(model).optimizer.param_groups
    assert {g["lr"] for g in groups} == {5e-4}


def test_unknown_options_and_frozen_models_are_refused(model):
    with pytest.raises(ValueError, match="gates_lr"):
        CustomizationOptimConstructor(ADAMW, {"gates_lr": 1})
    with pytest.raises(ValueError, match="nothing to train"):
        CustomizationOptimConstructor(ADAMW)(model.requires_grad_(False))
