"""CLIP ResNets and timm's transformers against open_clip, gates against plain matrix products."""

import open_clip
import pytest
import torch
from torch import nn

from react_mm.checkpoints import load_state, save_delta, save_state
from react_mm.models.backbones.open_clip_tower import image_tower_type
from react_mm.models.checkpoint_conversion import convert_delta
from react_mm.models.customization import insert_gated_blocks
from react_mm.models.layers.gated_attention import gated_blocks
from react_mm.registry import MODELS
from tests.test_models.test_gated_attention import gelu, reference
from tests.tiny import CAPTIONS, open_gates, train, write_architecture, write_weights

RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
NO_VIT = dict.fromkeys(("layers", "width", "head_width", "patch_size"))
SIGLIP = {"image_size": 160, "timm_model_name": "test_vit3", "timm_pool": "map"}
EVA = {"image_size": 224, "timm_model_name": "eva02_tiny_patch14_224", "timm_pool": "token"}
TOWERS = {
    "resnet": ({"vision": RESNET}, "CLIPResNet"),
    "map": ({"vision": {**SIGLIP, "timm_proj": "none"}, "embed_dim": 96}, "TimmViT"),
    "eva": ({"vision": {**EVA, "timm_proj": None}}, "TimmViT"),
}


@pytest.fixture(scope="module", params=list(TOWERS))
def family(request, tmp_path_factory):
    """Name, tower type, architecture file, weights file."""
    folder = tmp_path_factory.mktemp("towers")
    changes, kind = TOWERS[request.param]
    arch = write_architecture(folder, f"{request.param}-tower", **changes)
    path = write_weights(arch, folder / "w.safetensors")
    generator = torch.Generator().manual_seed(1)
    state = load_state(path)
    for key, value in state.items():  # so that no zero of the initialisation hides a fault
        if value.is_floating_point() and "running_" not in key and key != "logit_scale":
            state[key] = value + 0.05 * torch.randn(value.shape, generator=generator)
    save_state(path, state)
    return request.param, f"react_mm.{kind}", arch, path


def config(family, **options):
    _, kind, arch, checkpoint = family
    tower = {"arch": arch, "checkpoint": checkpoint}
    return {
        "type": "react_mm.CLIP",
        "image_tower": {"type": kind, **tower},
        "text_tower": {"type": "react_mm.CLIPText", **tower},
        **options,
    }


def build(family, **options):
    return MODELS.build(config(family, **options))


def images(model, count=2, seed=0):
    size = model.image_tower.preprocess["size"]
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def small_batches(monkeypatch, model):
    """The batches of tests.tiny, at this tower's size."""
    size = model.image_tower.preprocess["size"]

    def batch(seed=0, general=0):
        generator = torch.Generator().manual_seed(seed)
        shape = (4, 3, *size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        return {"inputs": pixels, "caption": CAPTIONS[:4], "role": torch.zeros(4)}

    monkeypatch.setattr("tests.tiny.batch", batch)


def test_pooled_embedding_is_open_clips(family):
    model = build(family).eval()
    open_clip.add_model_config(family[2])
    plain = open_clip.create_model(f"{family[0]}-tower").eval()
    plain.load_state_dict(load_state(family[3]))
    x = images(model)
    with torch.no_grad():
        expected = plain.encode_image(x)
        torch.testing.assert_close(model.encode_image(x), expected, atol=1e-5, rtol=1e-5)
    assert expected.shape == (2, model.image_tower.embed_dim)
    assert image_tower_type(family[2]) == family[1]


def test_locked_text_moves_the_image_tower_alone(family, monkeypatch, tmp_path):
    model = build(family, method="locked-text")
    small_batches(monkeypatch, model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train(model, steps=2)
    after = model.state_dict()
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith("image_tower.") or k == "logit_scale" for k in changed)
    assert not [k for k in changed if "running_" in k or "num_batches" in k]
    model.eval()
    delta = str(save_delta(model, tmp_path / "d.safetensors"))
    again = build(family, delta=delta).eval()
    x = images(model)
    with torch.no_grad():
        assert torch.equal(again.encode_image(x), model.encode_image(x))
    plain = str(tmp_path / "plain.safetensors")
    convert_delta(delta, plain, plain=True)  # the card names the base
    open_clip.add_model_config(family[2])
    reference = open_clip.create_model(f"{family[0]}-tower").eval()
    reference.load_state_dict(load_state(plain))
    with torch.no_grad():
        got = reference.encode_image(x)
        torch.testing.assert_close(got, model.encode_image(x), atol=1e-5, rtol=1e-5)


def test_gated_timm_tower_equals_a_rewrite(family, monkeypatch, tmp_path):
    if family[0] == "resnet":
        with pytest.raises(ValueError, match="is a ModifiedResNet: use locked-text"):
            build(family, method="gated-image")
        return
    options = {"blocks": 2}
    model, plain = build(family, method="gated-image", method_options=options), build(family)
    model.eval()
    x = images(model)
    with torch.no_grad():
        assert torch.equal(model.encode_image(x), plain.eval().encode_image(x))
    small_batches(monkeypatch, model)
    frozen = {k: v.clone() for k, v in model.state_dict().items() if "gated" not in k}
    train(model, steps=2)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in frozen.items() if k[0] != "l")
    open_gates(model)
    model.eval()
    gates = gated_blocks(model.image_tower)
    trunk = plain.image_tower.visual.trunk
    activation = gelu if family[0] == "map" else nn.functional.silu

    def gate_of(number):
        def run(module, args, kwargs):
            rows = gates[number]
            eps = rows.ln_1.eps
            assert eps == 1e-6
            out = reference(args[0], rows.state_dict(), rows.heads, activation, eps=eps)
            return (out, *args[1:]), kwargs

        return run

    for number, block in enumerate(trunk.blocks[-2:]):
        block.register_forward_pre_hook(gate_of(number), with_kwargs=True)
    with torch.no_grad():
        expected, got = plain.image_tower.visual(x), model.encode_image(x)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        assert (got - build(family).eval().encode_image(x)).abs().max() > 1e-2
        path = str(save_delta(model, tmp_path / "d.safetensors"))
        again = build(family, delta=path).eval()
        # torch takes another kernel where no weight asks for a gradient: not equal to the last bit
        torch.testing.assert_close(again.encode_image(x), got, atol=1e-6, rtol=1e-6)
        state = model.image_tower.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in again.image_tower.state_dict().items())


def test_copied_blocks(family):
    options = {"blocks": 1, "init": "copy"}
    if family[0] != "map":
        with pytest.raises(ValueError, match="locked-text|init='copy' is not defined for TimmViT"):
            build(family, method="gated-image", method_options=options)
        return
    model = build(family, method="gated-image", method_options=options).eval()
    (gate,) = gated_blocks(model.image_tower)
    block = model.image_tower.insertion_points()[-1]
    gate.alpha_attn.data.fill_(20.0)
    gate.alpha_dense.data.fill_(20.0)
    x = torch.randn(2, 5, gate.ln_1.normalized_shape[0])
    with torch.no_grad():
        once = block.mlp(block.norm2(x + block.ls1(block.attn(block.norm1(x)))))
        expected = x + block.ls1(block.attn(block.norm1(x))) + block.ls2(once)
        torch.testing.assert_close(gate(x), expected, atol=1e-5, rtol=1e-5)


def test_activations_are_recomputed_with_the_same_gradients(family):
    if family[0] == "resnet":
        return
    grads = []
    for with_cp in (False, True):
        wanted = config(family, method="gated-image", method_options={"blocks": 2})
        wanted["image_tower"]["with_cp"] = with_cp
        torch.manual_seed(0)
        model = MODELS.build(wanted)
        open_gates(model)
        model.train()
        model.encode_image(images(model)).square().sum().backward()
        grads.append([p.grad for p in model.parameters() if p.requires_grad][:-1])
    for one, other in zip(*grads, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_what_is_not_defined_is_refused_by_name(family):
    tower = build(family).image_tower
    with pytest.raises(ValueError, match=f"method 'lora' is not built for {type(tower).__name__}"):
        build(family, method="lora")
    for other in {"react_mm.CLIPViT", "react_mm.CLIPResNet", "react_mm.TimmViT"} - {family[1]}:
        with pytest.raises(ValueError, match=f"use type='{family[1]}'"):
            MODELS.build({"type": other, "arch": family[2]})


def test_known_architectures_and_their_statistics():
    assert image_tower_type("RN50x4-quickgelu") == "react_mm.CLIPResNet"
    assert image_tower_type("EVA02-B-16") == "react_mm.TimmViT"
    assert image_tower_type("ViT-bigG-14") == "react_mm.CLIPViT"
    with torch.device("meta"):
        siglip = MODELS.build({"type": "react_mm.TimmViT", "arch": "ViT-B-16-SigLIP"})
        named = {"type": "react_mm.CLIPViT", "arch": "ViT-L-14"}
        large = MODELS.build({**named, "pretrained": "laion2b_s32b_b82k"})
        plain = MODELS.build(named)
        own = MODELS.build({**named, "mean": (0.5,) * 3, "std": (0.25,) * 3})
        with pytest.raises(ValueError, match="ConvNeXt trunk"):
            MODELS.build({"type": "react_mm.TimmViT", "arch": "convnext_base"})
    with torch.device("meta"):
        for tower in (siglip, MODELS.build({"type": "react_mm.TimmViT", "arch": "EVA02-B-16"})):
            insert_gated_blocks(tower, blocks=6)
            sizes = [sum(p.numel() for p in g.parameters()) for g in gated_blocks(tower)]
            assert sizes == [7_087_874] * 6
    assert siglip.preprocess["mean"] == siglip.preprocess["std"] == (0.5, 0.5, 0.5)
    assert siglip.preprocess["resize_mode"] == "squash"
    assert large.preprocess["mean"] == large.preprocess["std"] == (0.5, 0.5, 0.5)
    assert plain.preprocess["mean"][0] == 0.48145466 and "resize_mode" not in plain.preprocess
    assert own.preprocess["std"] == (0.25, 0.25, 0.25)
