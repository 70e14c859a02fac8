"""The backbone against open_clip itself, and against itself without padding."""

import copy

import pytest
import torch
from torch import nn

from react_mm.models.backbones import CLIPViT
from react_mm.models.customization import insert_gated_blocks
from react_mm.models.layers.gated_attention import gated_blocks
from tests.dense_towers import ARCHITECTURES, TEXT, gated_tower, write_architecture

TOLERANCE = dict(rtol=0, atol=1e-5)


def images(count, height, width, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def native_size(name):
    size = ARCHITECTURES[name]["vision_cfg"]["image_size"]
    return size if isinstance(size, list) else [size, size]


@pytest.mark.parametrize("gates", [0, 2])
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_pooled_equals_open_clip_at_native_size(tmp_path, name, gates):
    tower = gated_tower(tmp_path, name, blocks=gates)
    x = images(3, *native_size(name))
    # open_clip's own forward runs the gates too: they hang on its blocks.
    expected = tower.visual(x)
    torch.testing.assert_close(tower.encode_image(x), expected, **TOLERANCE)
    torch.testing.assert_close(tower.forward_all(x)["pooled"], expected, **TOLERANCE)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_gates_of_the_tower_are_run_and_scaled(tmp_path, name):
    tower = gated_tower(tmp_path, name)
    plain = gated_tower(tmp_path, name, blocks=0)
    x = images(2, *native_size(name))
    assert (tower.encode_image(x) - plain.encode_image(x)).abs().max() > 0.05
    assert (tower.dense_embedding(x) - plain.dense_embedding(x)).abs().max() > 0.05
    tower.set_gate_scale(0.0)
    assert tower.gate_scale == 0.0
    assert torch.equal(tower.encode_image(x), plain.encode_image(x))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        tower.set_gate_scale(1.5)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_taps_equal_open_clips_intermediates(tmp_path, name):
    tower = gated_tower(tmp_path, name, out_indices=(0, -2, -1))
    x = images(2, *native_size(name))
    layers = len(tower.insertion_points())
    expected = tower.visual.forward_intermediates(x, indices=[0, layers - 2, layers - 1])
    for ours, theirs in zip(tower(x), expected["image_intermediates"], strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_vanilla_dense_equals_projected_intermediate(tmp_path):
    tower = gated_tower(tmp_path, "plain")
    x = images(2, 64, 64)
    last = tower.visual.forward_intermediates(x, indices=1, normalize_intermediates=True)
    last = last["image_intermediates"][0]
    expected = torch.einsum("bchw,cd->bdhw", last, tower.visual.proj)
    torch.testing.assert_close(tower.dense_embedding(x), expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *[(n, m) for n in ARCHITECTURES for m in ("vanilla", "maskclip", "naclip")],
        ("plain", "local"),
        ("quickgelu", "local"),
        ("unusual", "local"),
    ],
)
def test_padded_batch_equals_single_images(tmp_path, name, mode):
    tower = gated_tower(tmp_path, name, dense_mode=mode, out_indices=(0, -1))
    sizes = [(50, 70), (64, 33), (24, 40)]
    batch = torch.full((3, 3, 72, 96), 7.0)  # padding that must not be seen
    singles = [images(1, h, w, seed=i) for i, (h, w) in enumerate(sizes)]
    for row, single, (h, w) in zip(batch, singles, sizes, strict=True):
        row[:, :h, :w] = single[0]
    together = tower.forward_all(batch, image_sizes=sizes)
    for i, single in enumerate(singles):
        alone = tower.forward_all(single)
        torch.testing.assert_close(together["pooled"][i : i + 1], alone["pooled"], **TOLERANCE)
        for ours, expected in [
            (together["dense"], alone["dense"]),
            *zip(together["taps"], alone["taps"], strict=True),
        ]:
            h, w = expected.shape[-2:]
            torch.testing.assert_close(ours[i : i + 1, :, :h, :w], expected, **TOLERANCE)
            assert ours[i, :, h:].eq(0).all() and ours[i, :, :, w:].eq(0).all()


def test_map_sizes_of_odd_inputs(tmp_path):
    tower = gated_tower(tmp_path, "plain")
    for (h, w), (rows, columns) in {(1, 1): (1, 1), (65, 16): (5, 1), (64, 129): (4, 9)}.items():
        out = tower.forward_all(images(1, h, w))
        assert out["dense"].shape == (1, 24, rows, columns)
        assert out["taps"][0].shape == (1, 48, rows, columns)


def test_parts_alone_equal_one_pass(tmp_path):
    tower = gated_tower(tmp_path, "plain", dense_mode="maskclip", out_indices=(1, -1))
    x, sizes = images(2, 60, 90), [(60, 90), (40, 50)]
    whole = tower.forward_all(x, sizes)
    assert torch.equal(whole["dense"], tower.dense_embedding(x, sizes))
    for one, other in zip(whole["taps"], tower(x, sizes), strict=True):
        assert torch.equal(one, other)


def test_larger_input_uses_interpolated_positions(tmp_path):
    """A constant image differs between cells only by position: these must vary smoothly."""
    tower = gated_tower(tmp_path, "plain", blocks=0)
    native = tower._positions((4, 4), (4, 4))
    double = tower._positions((8, 8), (8, 8))
    assert torch.equal(native, tower.visual.positional_embedding)
    assert torch.equal(double[:1], native[:1])
    means = double[1:].reshape(4, 2, 4, 2, -1).mean((1, 3)).reshape(16, -1)
    assert torch.nn.functional.cosine_similarity(means, native[1:]).min() > 0.9


def test_weights_keep_their_names_and_survive_init(tmp_path):
    tower = gated_tower(tmp_path, "plain", blocks=0)
    names = {f"visual.{name}" for name in tower.visual.state_dict()}
    assert set(tower.state_dict()) == names
    before = {k: v.clone() for k, v in tower.state_dict().items()}
    tower.init_weights()
    assert all(torch.equal(before[k], v) for k, v in tower.state_dict().items())


def test_frozen_means_frozen(tmp_path):
    tower = gated_tower(tmp_path, "plain")
    tower.train()
    assert not tower.training and not any(m.training for m in tower.modules())
    assert not any(p.requires_grad for p in tower.parameters())
    trainable = CLIPViT(write_architecture(tmp_path, "plain"), frozen=False).train()
    assert trainable.training and all(p.requires_grad for p in trainable.parameters())


def test_checkpointing_gives_the_same_gradients(tmp_path):
    path, x = write_architecture(tmp_path, "plain"), images(2, 48, 64)
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        tower = CLIPViT(path, frozen=False, with_cp=with_cp).train()
        out = tower.forward_all(x, [(48, 64), (30, 40)])
        (out["pooled"].sum() + out["dense"].square().sum()).backward()
        gradients.append(tower.visual.conv1.weight.grad)
    torch.testing.assert_close(*gradients)


def test_gate_options_fit_the_tower(tmp_path):
    options = gated_tower(tmp_path, "quickgelu", blocks=0).gate_options()
    assert (options["width"], options["heads"], options["mlp_ratio"]) == (32, 4, 4.0)
    assert options["act_layer"].__name__ == "QuickGELU"
    activation = gated_tower(tmp_path, "unusual", blocks=0).gate_options()["act_layer"]()
    assert isinstance(activation, nn.GELU) and activation.approximate == "tanh"


@pytest.mark.parametrize(
    ("vision", "named"),
    [
        (dict(image_size=64, layers=[1, 1, 1, 1], width=16, patch_size=None), "ModifiedResNet"),
        (
            dict(image_size=64, layers=2, width=32, head_width=8, patch_size=16)
            | dict(attentional_pool=True, attn_pooler_heads=2),
            "attentional pooling",
        ),
        (
            dict(image_size=64, layers=2, width=32, head_width=8, patch_size=16, qk_norm=True),
            "CustomResidualAttentionBlock",
        ),
        (
            dict(image_size=224, timm_model_name="vit_tiny_patch16_224", timm_pool="token")
            | dict(timm_proj="linear"),
            "TimmModel",
        ),
    ],
)
def test_other_towers_are_refused_by_name(tmp_path, vision, named):
    import json

    path = tmp_path / "arch.json"
    path.write_text(json.dumps(dict(embed_dim=16, vision_cfg=vision, text_cfg=TEXT)))
    with pytest.raises(ValueError, match=named):
        CLIPViT(str(path))


def test_wrong_settings_are_refused(tmp_path):
    path = write_architecture(tmp_path, "plain")
    with pytest.raises(ValueError, match="did you mean maskclip"):
        CLIPViT(path, dense_mode="maskclp")
    with pytest.raises(ValueError, match="block 4 does not exist; the tower has 4"):
        CLIPViT(path, out_indices=(4,))
    with pytest.raises(ValueError, match="no gates"):
        CLIPViT(path, gate_scale=0.5)
    with pytest.raises(ValueError, match="2 image sizes for a batch of 1"):
        CLIPViT(path)(images(1, 64, 64), [(64, 64)] * 2)
    with pytest.raises(ValueError, match="exceeds"):
        CLIPViT(path)(images(1, 64, 64), [(65, 64)])


def test_builds_on_the_meta_device():
    with torch.device("meta"):
        tower = CLIPViT("ViT-B-16", out_indices=(3, 5, 7, 11), dense_mode="maskclip")
    assert (tower.embed_dim, tower.stride, tower.tap_channels) == (512, 16, 768)
    assert all(p.is_meta for p in tower.parameters())
    assert tower.preprocess["size"] == (224, 224)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_copied_block_is_the_frozen_one_with_its_layer_scale(tmp_path, name):
    tower = gated_tower(tmp_path, name, blocks=0)
    frozen = copy.deepcopy(tower.insertion_points()[-1])
    insert_gated_blocks(tower, blocks=1, init="copy")
    (gate,) = gated_blocks(tower)
    with torch.no_grad():
        gate.alpha_attn.fill_(20.0)  # its tanh is 1
        gate.alpha_dense.fill_(20.0)
        x = torch.randn(2, 5, tower.tap_channels)
        torch.testing.assert_close(gate(x), frozen(x), **TOLERANCE)
