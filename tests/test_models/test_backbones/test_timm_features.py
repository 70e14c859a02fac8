"""The second transformer: timm's own features, any size, weights that fit or are refused."""

import pytest
import safetensors.torch
import timm
import torch
import torch.nn.functional as F

from react_mm.models.backbones import TimmFeatures

SMALL = dict(embed_dim=24, depth=2, num_heads=2, img_size=32, patch_size=8)


def build(arch="vit_tiny_patch16_224", **changes):
    torch.manual_seed(0)
    return TimmFeatures(arch, options=SMALL, **changes)


def test_equals_timm_at_its_own_size():
    model, pictures = build(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)), torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1)))
    with torch.no_grad():
        theirs = model.trunk.forward_features((pictures - mean) / std)[:, 1:]
    ours = model(pictures)
    assert ours.shape == (2, 24, 4, 4)
    torch.testing.assert_close(ours.flatten(2).transpose(1, 2), theirs)
    assert (model.stride, model.channels) == (8, 24)


def test_registers_are_no_cells():
    options = dict(SMALL, patch_size=14, img_size=42)
    torch.manual_seed(0)
    model = TimmFeatures("vit_small_patch14_reg4_dinov2", options=options)
    assert model.trunk.num_prefix_tokens == 5
    assert model(torch.rand(1, 3, 42, 56)).shape == (1, 24, 3, 4)


def test_cells_cover_a_picture_of_any_size():
    model, picture = build(), torch.rand(1, 3, 20, 33)
    enlarged = F.interpolate(picture, (24, 40), mode="bilinear")
    torch.testing.assert_close(model.of_extent(picture), model(enlarged))


def test_stays_as_it_is():
    model = build().train()
    assert not model.training
    assert not model.trunk.training
    assert not any(p.requires_grad for p in model.parameters())
    before = model.trunk.blocks[0].attn.qkv.weight.clone()
    model.init_weights()
    assert torch.equal(model.trunk.blocks[0].attn.qkv.weight, before)


def test_weights_from_a_file(tmp_path):
    torch.manual_seed(3)
    other = timm.create_model("vit_tiny_patch16_224", **SMALL)  # with its head
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(other.state_dict(), path)
    model = build(checkpoint=path)
    assert torch.equal(model.trunk.blocks[1].mlp.fc1.weight, other.blocks[1].mlp.fc1.weight)
    state = {k: v for k, v in other.state_dict().items() if "blocks.1" not in k}
    safetensors.torch.save_file(state, path)
    with pytest.raises(ValueError, match=r"lacking \(\['blocks.1.norm1.weight'"):
        build(checkpoint=path)


def test_other_architectures_are_refused():
    with pytest.raises(ValueError, match="'resnet18' is a ResNet"):
        TimmFeatures("resnet18")
