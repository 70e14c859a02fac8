"""What trains, what must not change, and the delta on disk."""

import json

import open_clip
import pytest
import torch

from react_mm.checkpoints import card_path, load_state, save_delta, save_state
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from react_mm.models.layers.gated_attention import gated_blocks
from tests.tiny import CAPTIONS, batch, build, open_gates, train, write_weights


def test_gated_model_at_step_0_is_open_clip_bit_for_bit(base):
    model = build(base, method="gated-image", method_options={"blocks": 2}).eval()
    plain = build(base).eval()
    arch, checkpoint = base
    open_clip.add_model_config(arch)
    reference = open_clip.create_model("tiny").eval()
    reference.load_state_dict(load_state(checkpoint))
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.encode_image(x), plain.encode_image(x))
        torch.testing.assert_close(
            model.encode_image(x), reference.encode_image(x), atol=1e-5, rtol=1e-5
        )
        tokens = open_clip.get_tokenizer("tiny")(CAPTIONS)
        assert torch.equal(model.encode_text(CAPTIONS), reference.encode_text(tokens))


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize(
    "method,options,frozen",
    [
        ("gated-image", {"blocks": 2}, lambda k: "gated_attn_block" not in k),
        ("locked-text", {}, lambda k: k.startswith("text_tower.")),
        ("locked-image", {}, lambda k: k.startswith("image_tower.")),
    ],
)
def test_training_leaves_what_is_frozen_bitwise(base, method, options, frozen):
    model = build(base, method=method, method_options=options, teacher_weight=2.0)
    before = state(model)
    train(model)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    changed.discard("logit_scale")
    assert changed and not [k for k in changed if frozen(k)]
    own = {k for k in before if not frozen(k) and k != "logit_scale"}
    own = {k for k in own if k in dict(model.named_parameters())}
    unmoved = own - changed
    # Rows of the token table that no caption uses have no gradient; all else must move.
    assert not {k for k in unmoved if "token_embedding" not in k}, unmoved


def test_gates_open_and_the_first_step_moves_only_gates(base):
    model = build(base, method="gated-image", method_options={"blocks": 1})
    before = state(model)
    config = {"optimizer": {"type": "SGD", "lr": 0.1}}
    model.train_step(batch(), CustomizationOptimConstructor(config)(model))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert {k.rpartition(".")[2] for k in changed} == {"alpha_attn", "alpha_dense", "logit_scale"}


def test_unknown_methods_and_options_are_refused(base):
    with pytest.raises(ValueError, match="did you mean gated-image"):
        build(base, method="gated-images")
    with pytest.raises(NotImplementedError, match="lora"):
        build(base, method="lora")
    with pytest.raises(ValueError, match="did you mean blocks"):
        build(base, method="gated-image", method_options={"block": 2})
    with pytest.raises(ValueError, match="has 4 blocks"):
        build(base, method="gated-image", method_options={"blocks": 9})


@pytest.mark.parametrize(
    "method,options", [("gated-image", {"blocks": 2}), ("locked-text", {}), ("full", {})]
)
def test_delta_gives_the_trained_model_back_bitwise(base, tmp_path, method, options):
    model = build(base, method=method, method_options=options)
    train(model)
    model.eval()
    path = save_delta(model, tmp_path / "delta.safetensors", {"retrieved_set": "x"})
    again = build(base, delta=str(path)).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.encode_image(x), model.encode_image(x))
        assert torch.equal(again.encode_text(CAPTIONS), model.encode_text(CAPTIONS))
    assert again.identity()["weights_hash"] == model.identity()["weights_hash"]
    assert again.identity()["weights_hash"] != build(base).identity()["weights_hash"]
    assert not [n for n, p in again.named_parameters() if p.requires_grad]
    card = json.loads(card_path(path).read_text())
    assert card["retrieved_set"] == "x" and card["method"] == method
    if method == "gated-image":
        keys = "visual.transformer.resblocks.2.gated_attn_block.mlp.c_fc.weight"
        assert keys in load_state(path), "the official key names"
        assert all("gated_attn_block" in k or k == "logit_scale" for k in load_state(path))


def test_gate_scale_lies_between_base_and_customized(base, tmp_path):
    model = build(base, method="gated-image", method_options={"blocks": 2})
    open_gates(model)
    path = str(save_delta(model, tmp_path / "delta.safetensors"))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain = build(base).encode_image(x)
        assert torch.equal(build(base, delta=path, gate_scale=0.0).encode_image(x), plain)
        half = build(base, delta=path, gate_scale=0.5)
        # The closed form: half the scale is a gate of atanh(tanh(g) / 2).
        for gate in gated_blocks(model):
            for alpha in (gate.alpha_attn, gate.alpha_dense):
                alpha.copy_(torch.atanh(torch.tanh(alpha.double()) / 2).float())
        torch.testing.assert_close(half.encode_image(x), model.encode_image(x))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        half.set_gate_scale(1.5)


def test_delta_on_another_base_or_tampered_is_refused(base, tmp_path):
    model = build(base, method="gated-image", method_options={"blocks": 2})
    path = save_delta(model, tmp_path / "delta.safetensors")
    other = write_weights(base[0], tmp_path / "other.safetensors", seed=1)
    with pytest.raises(ValueError, match="trained on the base"):
        build((base[0], other), delta=str(path))
    tensors = load_state(path)
    tensors["logit_scale"] = tensors["logit_scale"] + 1
    save_state(path, tensors)
    with pytest.raises(ValueError, match="delta_hash"):
        build(base, delta=str(path))
    card_path(path).unlink()
    with pytest.raises(FileNotFoundError, match=r"delta\.json"):
        build(base, delta=str(path))
