"""Released checkpoints: read with all their wrappers, checked key by key, gates scaled."""

import argparse
import math

import pytest
import torch

from react_mm.models.official_checkpoints import (
    base_state,
    fold_gate_scale,
    gate_layout,
    read_whole,
    split_gates,
)
from tests import official_release as release


def same(one, other):
    return set(one) == set(other) and all(torch.equal(v, other[k]) for k, v in one.items())


def test_prefixes_wrappers_and_optimiser_state_are_taken_off(tmp_path):
    path = release.write_architecture(tmp_path, 32)
    state = release.plain_state(path) | release.gates(32)
    assert same(read_whole(release.save_as_trainer(state, tmp_path / "r.pt")), state)
    torch.save(state | {"input_resolution": torch.tensor(32)}, tmp_path / "bare.pt")
    assert same(read_whole(tmp_path / "bare.pt"), state)
    frozen, gates = split_gates(state)
    assert len(gates) == 2 * 14 and same(frozen | gates, state)


def test_what_would_be_executed_or_is_no_state_dict_is_refused(tmp_path):
    torch.save({"args": argparse.Namespace(lr=1.0), "state_dict": {}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="Nothing was executed"):
        read_whole(tmp_path / "a.pt")
    torch.save({"epoch": 3, "optimizer": {"lr": 1.0}}, tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"it has epoch \(int\), optimizer \(dict\)"):
        read_whole(tmp_path / "b.pt")
    torch.save([torch.ones(1)], tmp_path / "c.pt")
    with pytest.raises(ValueError, match="holds a list"):
        read_whole(tmp_path / "c.pt")


def test_layout_is_read_from_the_keys_and_faults_are_named():
    gates = release.gates(48, blocks=3, ratio=2.5)
    assert gate_layout(gates, 4, "x") == {"blocks": 3, "mlp_ratio": 2.5}
    with pytest.raises(ValueError, match=r"before the blocks \[1, 2, 3\] of 12"):
        gate_layout(gates, 12, "x")
    prefix = "visual.transformer.resblocks.2.gated_attn_block."
    lacking = {k: v for k, v in gates.items() if k != f"{prefix}ln_2.bias"}
    with pytest.raises(ValueError, match=r"before block 2 lacks \['ln_2\.bias'\]"):
        gate_layout(lacking, 4, "x")
    with pytest.raises(ValueError, match=r"unknown \['alpha_mlp'\]"):
        gate_layout(gates | {f"{prefix}alpha_mlp": torch.ones(1)}, 4, "x")
    with pytest.raises(ValueError, match=r"another shape \['ln_1\.bias'\]"):
        gate_layout(gates | {f"{prefix}ln_1.bias": torch.ones(3)}, 4, "x")
    with pytest.raises(ValueError, match="no key of the REACT release"):
        gate_layout({"visual.trunk.blocks.3.gated_attn_block.alpha_attn": torch.ones(1)}, 4, "x")


def test_folded_scale_is_the_closed_form_and_one_changes_no_bit():
    gates = release.gates(32)
    assert same(fold_gate_scale(gates, [1.0, 1.0]), gates)
    folded = fold_gate_scale(gates, [0.25, 1.0])
    for key, value in gates.items():
        if ".2." in key and "alpha" in key:
            assert math.tanh(folded[key].item()) == pytest.approx(
                0.25 * math.tanh(value.item()), abs=1e-7
            )
        else:
            assert torch.equal(folded[key], value)
    key = "visual.transformer.resblocks.2.gated_attn_block.alpha_attn"
    gates[key] = torch.tensor([40.0])  # its tanh is 1 in float64
    assert math.tanh(fold_gate_scale(gates, [0.5, 1.0])[key].item()) == pytest.approx(0.5)
    assert fold_gate_scale(gates, [1 - 2**-53, 1.0])[key].isfinite()
    half = {k: v.half() for k, v in gates.items()}
    with pytest.raises(OverflowError, match=r"float16"):
        fold_gate_scale(half, [0.3, 1.0])


def test_a_base_file_of_another_architecture_is_refused_by_key(tmp_path):
    path = release.write_architecture(tmp_path, 32)
    state = release.plain_state(path)
    state.pop("visual.ln_post.bias")
    torch.save(state, tmp_path / "base.pt")
    with pytest.raises(ValueError, match=r"1 missing: visual\.ln_post\.bias"):
        base_state(str(path), checkpoint=tmp_path / "base.pt")
    with pytest.raises(ValueError, match="name the base"):
        base_state(str(path))
