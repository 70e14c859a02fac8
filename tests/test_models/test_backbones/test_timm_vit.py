"""SigLIP's and EVA's towers on maps: against timm resized by its own means, and by hand."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from timm.models.eva import Eva

from react_mm.models.backbones import TimmViT
from tests.dense_towers import TEXT, open_gates, shake
from tests.tiny import write_architecture

TOLERANCE = dict(rtol=0, atol=1e-5)
SIZES = [(33, 80), (48, 48), (64, 20)]
FAMILIES = {  # timm's name, pooling, projection, embed_dim
    "eva": ("tiny_eva_clip", "token", None, 20),
    "siglip": ("vit_tiny_patch16_224", "map", "none", 192),
    "average": ("vit_tiny_patch16_224", "avg", "linear", 20),
}
SMALL = dict(img_size=48, patch_size=16, embed_dim=48, depth=3, num_heads=3)


def tiny_eva_clip(pretrained=False, **kwargs):
    """As eva02_base_patch16_clip_224, small: separate q k v, inner norm, SwiGLU, rotary."""
    own = dict(qkv_fused=False, swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True)
    rotary = dict(use_rot_pos_emb=True, ref_feat_shape=(3, 3), mlp_ratio=2)
    known = {k: v for k, v in kwargs.items() if k in ("num_classes", "global_pool")}
    return Eva(**SMALL, **own, **rotary, **known)


def make(folder, family, gates=2, **options):
    """A tower of a family with all weights shaken and gates open."""
    name, pool, proj, dim = FAMILIES[family]
    vision = dict(image_size=48, timm_model_name=name, timm_pool=pool, timm_proj=proj)
    vision |= dict.fromkeys(("layers", "width", "head_width", "patch_size"))
    vision = {k: v for k, v in vision.items() if v is not None or k == "timm_proj"}
    path = write_architecture(folder, f"timm-{family}", embed_dim=dim, vision=vision, text=TEXT)
    torch.manual_seed(0)
    tower = TimmViT(path, **options)
    shake(tower)
    return open_gates(tower, gates) if gates else tower


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    """timm's registry with a small EVA-CLIP, and vit_tiny made small."""
    from timm.models import _registry, vision_transformer

    monkeypatch.setitem(_registry._model_entrypoints, "tiny_eva_clip", tiny_eva_clip)
    plain = vision_transformer.VisionTransformer

    def small_vit(pretrained=False, **kwargs):
        known = {k: v for k, v in kwargs.items() if k in ("num_classes", "global_pool")}
        width = 192 if known.get("global_pool") == "map" else 48
        token = known.get("global_pool") != "map"
        model = plain(**{**SMALL, "embed_dim": width}, class_token=token, **known)
        model.default_cfg = {}
        return model

    monkeypatch.setitem(_registry._model_entrypoints, "vit_tiny_patch16_224", small_vit)


def images(count, height, width, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@pytest.mark.parametrize("family", list(FAMILIES))
def test_any_size_equals_timms_own_resized_tower(tmp_path, family):
    tower = make(tmp_path, family, out_indices=(0, -1))
    for height, width in [(48, 48), (64, 80), (33, 100)]:
        x = images(2, height, width)
        whole = F.pad(x, (0, -width % 16, 0, -height % 16))
        resized = copy.deepcopy(tower.visual)
        resized.set_input_size(tuple(whole.shape[-2:]))
        resized.eval()
        expected = resized(whole)
        out = tower.forward_all(x)
        torch.testing.assert_close(tower.encode_image(x), expected, **TOLERANCE)
        torch.testing.assert_close(out["pooled"], expected, **TOLERANCE)
        taps = resized.forward_intermediates(whole, indices=[0, 2], intermediates_only=True)
        for ours, theirs in zip(out["taps"], taps["image_intermediates"], strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE)
        assert out["dense"].shape == (2, tower.embed_dim, -(-height // 16), -(-width // 16))


def entering_last_block(tower, x):
    """Tokens behind the gate of the last block, seen from outside."""
    seen = []
    hook = tower.insertion_points()[-1].norm1.register_forward_pre_hook(
        lambda module, args: seen.append(args[0])
    )
    tower.encode_image(x)
    hook.remove()
    return seen[0]


@torch.no_grad()
def test_evas_dense_embedding_is_the_value_path_by_hand(tmp_path):
    tower = make(tmp_path, "eva")
    x = images(1, 48, 48)
    block, trunk = tower.insertion_points()[-1], tower.visual.trunk
    tokens = entering_last_block(tower, x)[0, 1:]
    attn = block.attn
    value = F.linear(block.norm1(tokens), attn.v_proj.weight, attn.v_proj.bias)
    tokens = tokens + attn.proj(attn.norm(value))
    tokens = tokens + block.mlp(block.norm2(tokens))
    expected = trunk.head(trunk.norm(tokens))
    got = tower.dense_embedding(x)[0].flatten(1).T
    torch.testing.assert_close(got, expected, **TOLERANCE)
    vanilla = make(tmp_path, "eva", dense_mode="vanilla")
    whole = trunk.head(trunk.norm(vanilla.forward_all(x)["taps"][0][0].flatten(1).T))
    torch.testing.assert_close(vanilla.dense_embedding(x)[0].flatten(1).T, whole, **TOLERANCE)
    assert (whole - expected).abs().max() > 0.01


@torch.no_grad()
def test_siglips_dense_embedding_is_the_heads_value_path_by_hand(tmp_path):
    tower = make(tmp_path, "siglip")
    x = images(1, 48, 64)
    trunk = tower.visual.trunk
    pool = trunk.attn_pool
    tokens = trunk.norm(tower(x)[0][0].flatten(1).T)
    value = F.linear(tokens, pool.kv.weight[192:], pool.kv.bias[192:])
    expected = pool.proj(value)
    expected = expected + pool.mlp(pool.norm(expected))
    got = tower.dense_embedding(x)[0].flatten(1).T
    torch.testing.assert_close(got, expected, **TOLERANCE)
    # one cell alone is what the head pools
    cell = images(1, 16, 16)
    dense = tower.dense_embedding(cell)[:, :, 0, 0]
    torch.testing.assert_close(dense, tower.encode_image(cell), **TOLERANCE)


@torch.no_grad()
def test_average_pooled_cells_have_their_mean_as_pooled_embedding(tmp_path):
    tower = make(tmp_path, "average", dense_mode="vanilla")
    trunk, x = tower.visual.trunk, images(1, 64, 48)
    cells = trunk.norm(tower(x)[0].flatten(2).transpose(1, 2))
    expected = tower.visual.head(trunk.fc_norm(cells))
    got = tower.dense_embedding(x).flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, expected, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("family", list(FAMILIES))
def test_padded_batch_equals_single_images(tmp_path, family):
    tower = make(tmp_path, family, out_indices=(0, -1))
    batch = torch.full((3, 3, 70, 90), 7.0)  # padding that must not be seen
    singles = [images(1, h, w, seed=i) for i, (h, w) in enumerate(SIZES)]
    for row, single, (h, w) in zip(batch, singles, SIZES, strict=True):
        row[:, :h, :w] = single[0]
    together = tower.forward_all(batch, SIZES)
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


@torch.no_grad()
@pytest.mark.parametrize("family", list(FAMILIES))
def test_gates_act_on_the_dense_embedding(tmp_path, family):
    tower, plain = make(tmp_path, family), make(tmp_path, family, gates=0)
    x = images(1, 40, 64)
    assert (tower.dense_embedding(x) - plain.dense_embedding(x)).abs().max() > 0.01
    tower.set_gate_scale(0.0)
    assert torch.equal(tower.dense_embedding(x), plain.dense_embedding(x))
    rois = torch.tensor([[0.0, 3, 4, 40, 30]])
    dense = tower.region_map(x)
    assert torch.equal(dense, tower.dense_embedding(x))
    assert tower.pool_regions(dense, rois).shape == (1, tower.embed_dim)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_checkpointing_gives_the_same_gradients(tmp_path, family):
    gradients = []
    for with_cp in (False, True):
        tower = make(tmp_path, family, gates=0, frozen=False, with_cp=with_cp).train()
        out = tower.forward_all(images(2, 40, 64), [(40, 64), (20, 30)])
        (out["pooled"].sum() + out["dense"].square().sum()).backward()
        gradients.append(tower.visual.trunk.patch_embed.proj.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="block 3 does not exist; the tower has 3"):
        make(tmp_path, "eva", out_indices=(3,))
    with pytest.raises(ValueError, match="'sclip' is not built for react_mm.TimmViT"):
        make(tmp_path, "eva", dense_mode="sclip")
    with pytest.raises(ValueError, match="pools by attention.*use dense_mode='maskclip'"):
        make(tmp_path, "siglip", dense_mode="vanilla")


@pytest.mark.parametrize(
    "arch", ["ViT-B-16-SigLIP", "ViT-SO400M-14-SigLIP2", "EVA02-B-16", "EVA02-E-14", "EVA01-g-14"]
)
def test_released_architectures_give_maps_on_the_meta_device(arch):
    with torch.device("meta"):
        tower = TimmViT(arch, out_indices=(0, -1))
        stride = tower.stride
        taps, dense = tower.taps_and_dense(torch.zeros(1, 3, 20 * stride + 1, 30 * stride))
    assert dense.shape == (1, open_clip.get_model_config(arch)["embed_dim"], 21, 30)
    assert all(t.shape == (1, tower.tap_channels, 21, 30) for t in taps)
