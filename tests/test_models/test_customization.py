"""What trains, what must not change, and the delta on disk."""

import json

import open_clip
import pytest
import torch

from react_mm.checkpoints import card_path, load_state, save_delta, save_state
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from react_mm.models.customization import summarize_names
from react_mm.models.layers.gated_attention import gated_blocks
from react_mm.models.layers.lora import is_lora_key, merge_lora
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


def not_gated(key):
    return "gated_attn_block" not in key


def not_lora(key):
    return not is_lora_key(key)


def is_text(key):
    return key.startswith("text_tower.")


LORA_ALL = {"rank": 2, "targets": ["q", "k", "v", "out_proj", "c_fc", "c_proj"]}


@pytest.mark.parametrize(
    "method,options,frozen",
    [
        ("full", {}, lambda k: False),
        ("gated-image", {"blocks": 2}, not_gated),
        ("gated-image", {"blocks": "all", "init": "copy"}, not_gated),
        ("gated-image", {"blocks": 1, "train_logit_scale": False}, not_gated),
        ("lora", LORA_ALL, lambda k: not_lora(k) or is_text(k)),
        ("lora", {"rank": 2, "text": "lora"}, not_lora),
        ("locked-text", {}, is_text),
        ("locked-image", {}, lambda k: k.startswith("image_tower.")),
    ],
)
def test_training_leaves_what_is_frozen_bitwise(base, method, options, frozen):
    model = build(base, method=method, method_options=options, teacher_weight=2.0)
    before = state(model)
    train(model)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert ("logit_scale" in changed) == options.get("train_logit_scale", True)
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
    with pytest.raises(ValueError, match="unknown target 'qv'"):
        build(base, method="lora", method_options={"targets": ["qv"]})
    with pytest.raises(ValueError, match="text is locked or lora, not 'full'"):
        build(base, method="lora", method_options={"text": "full"})
    with pytest.raises(ValueError, match="init is default or copy"):
        build(base, method="gated-image", method_options={"init": "copied"})
    with pytest.raises(ValueError, match="leave mlp_ratio out"):
        build(
            base,
            method="gated-image",
            method_options={"blocks": 1, "init": "copy", "mlp_ratio": 2.0},
        )
    with pytest.raises(ValueError, match="did you mean blocks"):
        build(base, method="gated-image", method_options={"block": 2})
    with pytest.raises(ValueError, match="has 4 blocks"):
        build(base, method="gated-image", method_options={"blocks": 9})


@pytest.mark.parametrize(
    "method,options",
    [
        ("gated-image", {"blocks": 2}),
        ("gated-image", {"blocks": "all", "init": "copy"}),
        ("locked-text", {}),
        ("locked-image", {}),
        ("full", {}),
        ("lora", LORA_ALL),
        ("lora", {"rank": 2, "alpha": 8, "text": "lora"}),
    ],
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


@pytest.mark.parametrize("options", [LORA_ALL, {"rank": 3, "alpha": 9.0, "text": "lora"}])
def test_lora_starts_at_the_base_merges_and_scales(base, tmp_path, options):
    model = build(base, method="lora", method_options=options, teacher_weight=1.0)
    plain, x = build(base).eval(), torch.randn(3, 3, 32, 32)
    encoders = (lambda m: m.encode_image(x)), (lambda m: m.encode_text(CAPTIONS))
    model.eval()
    with torch.no_grad():
        assert all(torch.equal(e(model), e(plain)) for e in encoders)
    train(model, steps=5)
    model.eval()
    path = str(save_delta(model, tmp_path / "delta.safetensors"))
    kept = load_state(path)
    assert all(is_lora_key(k) or k == "logit_scale" for k in kept), "the delta is LoRA alone"
    trained = sum(v.numel() for v in kept.values())
    assert trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        before = [e(model) for e in encoders]
        assert (before[0] - encoders[0](plain)).abs().max() > 1e-3
        moved = (before[1] - encoders[1](plain)).abs().max() > 1e-3
        assert moved == (options.get("text") == "lora") == (not model.text_frozen)
        with model.starting_tower() as start:
            assert torch.equal(start.encode_image(x), encoders[0](plain))
        assert torch.equal(encoders[0](model), before[0])
        closed = build(base, delta=path, gate_scale=0.0)
        assert all(torch.equal(e(closed), e(plain)) for e in encoders)
        assert (
            closed.identity()["weights_hash"] != build(base, delta=path).identity()["weights_hash"]
        )
        assert merge_lora(model)
        for encode, old in zip(encoders, before, strict=True):
            torch.testing.assert_close(encode(model), old, atol=1e-5, rtol=1e-5)
    assert set(model.state_dict()) == set(plain.state_dict())


def test_copied_blocks_are_the_frozen_ones_once_the_gates_are_wide_open(base):
    model = build(base, method="gated-image", method_options={"blocks": 2, "init": "copy"}).eval()
    plain = build(base).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.encode_image(x), plain.encode_image(x)), "closed at the start"
        for gate in gated_blocks(model):
            gate.alpha_attn.fill_(20.0)  # tanh is 1
            gate.alpha_dense.fill_(20.0)
        visual = plain.image_tower.visual
        blocks = visual.transformer.resblocks
        blocks.insert(3, blocks[3])  # each of the last two runs twice
        blocks.insert(2, blocks[2])
        torch.testing.assert_close(model.encode_image(x), visual(x), atol=1e-5, rtol=1e-5)


def test_trained_names_are_printed_in_short():
    names = [f"a.{i}.b.weight" for i in range(3)] + ["c.bias"]
    assert summarize_names(names) == ["a.*.b.weight x3", "c.bias"]


def test_a_tower_that_trains_more_than_its_method_is_caught(base, monkeypatch):
    monkeypatch.setattr("react_mm.models.customization._trains", lambda method, name: True)
    for method in ("gated-image", "lora", "locked-text", "locked-image"):
        with pytest.raises(AssertionError, match=method):
            build(base, method=method, method_options={"blocks": 1} if "gated" in method else {})
