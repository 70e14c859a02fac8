"""A customized tower under a detector: loaded from its delta, frozen, or with its gates trained."""

import copy

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.checkpoints import save_delta
from react_mm.models.layers.gated_attention import gated_blocks
from tests import tiny
from tests.dense_models import KINDS, batch_of, detection_sample, detector_config
from tests.dense_towers import HashEmbedder, shake

GATE_LR, LR = 0.003, 0.03


@pytest.fixture
def customized(tmp_path):
    """Architecture, weights and the delta of a gated-image customization with open gates."""
    arch = tiny.write_architecture(
        tmp_path, "gated", vision=dict(width=48, patch_size=16, image_size=64), embed_dim=24
    )
    weights = tiny.write_weights(arch, tmp_path / "gated.safetensors")
    options = dict(method="gated-image", method_options=dict(blocks=2))
    clip = tiny.build((arch, weights), **options)
    for number, gate in enumerate(gated_blocks(clip)):
        shake(gate, seed=number)
    tiny.open_gates(clip)
    save_delta(clip, tmp_path / "customized.safetensors")
    return dict(arch=arch, checkpoint=weights, delta=str(tmp_path / "customized.safetensors"))


def detector(folder, kind, backbone):
    config = detector_config(folder, kind)
    config.backbone.update(backbone)
    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    model.class_embedder = HashEmbedder(24)
    model.set_vocabulary(["cat", "dog"])
    return model


def step(model, **paramwise):
    """One step of AdamW with weight decay, by the wrapper that a config would name."""
    from mmengine.optim import build_optim_wrapper

    config = dict(
        type="OptimWrapper",
        optimizer=dict(type="AdamW", lr=LR, weight_decay=0.1),
        paramwise_cfg=paramwise or None,
    )
    wrapper = build_optim_wrapper(model, config)
    before = {n: p.detach().clone() for n, p in model.backbone.named_parameters()}
    pairs = [detection_sample(70, 100), detection_sample(64, 64, seed=1)]
    model.train()
    losses = model.train_step(copy.deepcopy(batch_of(pairs)), wrapper)
    assert torch.isfinite(losses["loss"])
    after = dict(model.backbone.named_parameters())
    return {n for n, p in after.items() if not torch.equal(before[n], p)}, wrapper


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_by_default(tmp_path, customized, kind):
    model = detector(tmp_path, kind, customized)
    assert len(gated_blocks(model.backbone)) == 2
    moved, _ = step(model)
    assert moved == set()


@pytest.mark.parametrize("kind", KINDS)
def test_gates_alone_are_trained_at_their_own_rate(tmp_path, customized, kind):
    model = detector(tmp_path, kind, dict(customized, frozen="except-gates"))
    key = {"gated_attn_block": dict(lr_mult=GATE_LR / LR)}
    moved, wrapper = step(model, custom_keys=key)
    gates = {n for n, _ in model.backbone.named_parameters() if "gated_attn_block" in n}
    assert moved and moved <= gates
    # Every gated block below a tap has a gradient; none of the frozen weights has changed a bit.
    assert {n.split("gated_attn_block")[0] for n in moved} == {
        n.split("gated_attn_block")[0] for n in gates
    }
    rates = {
        name: group["lr"]
        for group in wrapper.param_groups
        for name, parameter in model.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    for name, rate in rates.items():
        assert rate == pytest.approx(GATE_LR if "gated_attn_block" in name else LR)
    assert {n for n in rates if n.startswith("backbone.visual")} >= {f"backbone.{n}" for n in gates}


def test_gate_scale_is_a_setting(tmp_path, customized):
    plain = detector(tmp_path, "fvit", dict(customized, delta=None)).eval()
    shut = detector(tmp_path, "fvit", dict(customized, gate_scale=0.0)).eval()
    half = detector(tmp_path, "fvit", dict(customized, gate_scale=0.5)).eval()
    assert half.backbone.gate_scale == 0.5
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        dense = [m.backbone.dense_embedding(image) for m in (plain, shut, half)]
    torch.testing.assert_close(dense[0], dense[1], rtol=0, atol=0)
    assert not torch.allclose(dense[0], dense[2])
