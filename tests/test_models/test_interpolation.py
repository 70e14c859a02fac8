"""Interpolation with the start, key by key; gate scale for what was inserted."""

import json

import pytest
import torch

from react_mm.checkpoints import load_delta, save_delta
from react_mm.models.interpolation import (
    interpolate_delta,
    interpolate_model,
    interpolated,
    trained_state,
)
from tests.tiny import batch, build, open_gates, train

GATED = {"method": "gated-image", "method_options": {"blocks": 2}}


def embed(model):
    with torch.no_grad():
        data = model.data_preprocessor(batch())
        return model.eval().encode_image(data["inputs"])


@pytest.mark.parametrize("method", ["full", "locked-text"])
def test_every_key_lies_between_start_and_customized(base, tmp_path, method):
    model = build(base, method=method)
    start = trained_state(model)
    train(model)
    customized = trained_state(model)
    path = save_delta(model, tmp_path / "customized.safetensors")
    interpolate_model(model, start, customized, 0.7)
    for name, value in trained_state(model).items():
        torch.testing.assert_close(value, 0.7 * customized[name] + 0.3 * start[name])
    moved = interpolate_delta(path, build(base), 0.7, tmp_path / "moved.safetensors")
    again = build(base, delta=str(moved))
    torch.testing.assert_close(embed(again), embed(model), atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(again.encode_text(["a cat"]), model.encode_text(["a cat"]))
    assert not torch.allclose(embed(again), embed(build(base, delta=str(path))), atol=1e-4)
    state, card = load_delta(moved)
    assert card["interpolation"] == 0.7
    assert card["logit_scale"] == pytest.approx(float(state["logit_scale"]))
    interpolate_model(model, start, customized, 0.0)
    assert torch.equal(embed(model), embed(build(base)))


def test_gated_blocks_are_moved_by_their_scale(base, tmp_path):
    model = build(base, **GATED)
    open_gates(model)
    path = save_delta(model, tmp_path / "customized.safetensors")
    model.set_gate_scale(0.6)
    moved = interpolate_delta(path, build(base), 0.6, tmp_path / "moved.safetensors")
    again = build(base, delta=str(moved))
    assert torch.equal(embed(again), embed(model))
    assert load_delta(moved)[0].keys() == load_delta(path)[0].keys()
    interpolate_model(model, {}, {}, 1.0)
    assert torch.equal(embed(model), embed(build(base, delta=str(path))))


def test_lora_is_moved_exactly_as_its_merged_weights(base):
    model = build(base, method="lora", method_options={"rank": 2})
    open_update(model)
    full = embed(model)
    interpolate_model(model, {}, {}, 0.5)
    half = embed(model)
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            parameter.data.mul_(0.5)
    model.set_gate_scale(1.0)
    torch.testing.assert_close(embed(model), half, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(half, full, atol=1e-3)


def open_update(model):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".B"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))


def test_one_scale_per_block_is_kept_by_the_card(base, tmp_path):
    model = build(base, **GATED)
    open_gates(model)
    model.set_gate_scale([0.25, 1.0])
    one = embed(model)
    path = save_delta(model, tmp_path / "customized.safetensors")
    assert json.loads(path.with_suffix(".json").read_text())["gate_scale"] == [0.25, 1.0]
    again = build(base, delta=str(path))
    assert torch.equal(embed(again), one)
    assert again.image_tower.gate_scale == (0.25, 1.0)
    other = build(base, delta=str(path), gate_scale=[1.0, 0.25])
    assert not torch.allclose(embed(other), one, atol=1e-4)
    with model.starting_tower():
        assert model.image_tower.gate_scale == 0.0
    assert model.image_tower.gate_scale == (0.25, 1.0)
    half = interpolate_delta(path, build(base), 0.5, tmp_path / "half.safetensors")
    assert load_delta(half)[1]["gate_scale"] == [0.125, 0.5]
    with pytest.raises(ValueError, match="3 gate scales"):
        model.set_gate_scale([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        model.set_gate_scale([0.1, 1.2])


def test_bad_shares_and_missing_keys_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        interpolated({}, {}, 1.5)
    with pytest.raises(ValueError, match="lacks 1 keys"):
        interpolated({}, {"a": torch.zeros(1)}, 0.5)
