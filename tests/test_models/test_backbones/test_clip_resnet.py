"""CLIP's ResNet for detection against open_clip's own, at any size and customized."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from react_mm.checkpoints import load_state, save_delta
from react_mm.models.backbones import CLIPResNet
from react_mm.models.layers.attention_pool import REGIONS_AT_ONCE
from react_mm.registry import MODELS
from tests.dense_towers import TEXT, shake
from tests.tiny import clip_config, write_architecture

TOLERANCE = dict(rtol=0, atol=1e-5)
VISION = dict(image_size=96, layers=[1, 2, 1, 1], width=8, head_width=64)
NO_VIT = dict(patch_size=None)
SIZES = [(70, 100), (96, 33), (95, 97), (20, 40)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    arch = write_architecture(folder, "tiny-resnet", vision={**VISION, **NO_VIT}, text=TEXT)
    open_clip.add_model_config(arch)
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-resnet")
    shake(model)
    generator = torch.Generator().manual_seed(3)
    for name, buffer in model.named_buffers():  # statistics that matter
        if name.endswith("running_mean"):
            buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    import safetensors.torch

    path = str(folder / "resnet.safetensors")
    state = {k: v.clone().contiguous() for k, v in model.state_dict().items()}
    safetensors.torch.save_file(state, path)
    return arch, path, model.visual.eval()


def tower_of(files, **options):
    return CLIPResNet(files[0], checkpoint=files[1], **options)


def images(count, height, width, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def whole(x):
    """Zero padded to multiples of 32."""
    return F.pad(x, (0, -x.shape[-1] % 32, 0, -x.shape[-2] % 32))


def resized_pool(visual, grid):
    """open_clip's pooling with positions for another grid, put in from outside."""
    pool = copy.deepcopy(visual.attnpool)
    positions = visual.attnpool.positional_embedding.detach()
    cells = positions[1:].unflatten(0, (3, 3)).permute(2, 0, 1)[None]
    cells = F.interpolate(cells, size=grid, mode="bicubic", antialias=True)
    resized = torch.cat([positions[:1], cells[0].flatten(1).T])
    pool.positional_embedding = torch.nn.Parameter(resized)
    return pool


@torch.no_grad()
def test_native_size_is_open_clips(files):
    tower, visual = tower_of(files, out_indices=(0, 1, 2, 3)), files[2]
    x = images(2, 96, 96)
    expected = visual(x)
    torch.testing.assert_close(tower.encode_image(x), expected, **TOLERANCE)
    out = tower.forward_all(x)
    torch.testing.assert_close(out["pooled"], expected, **TOLERANCE)
    stages = visual.forward_intermediates(x, indices=[1, 2, 3, 4])["image_intermediates"]
    for ours, theirs in zip(out["taps"], stages, strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)
    assert tower.tap_channels == (32, 64, 128, 256)
    assert tower_of(files).tap_channels == 256


@torch.no_grad()
def test_other_sizes_equal_open_clips_with_resized_positions(files):
    tower, visual = tower_of(files, out_indices=(0, 3)), files[2]
    for height, width in SIZES:
        x = images(2, height, width)
        stages = visual.forward_intermediates(whole(x), indices=5, intermediates_only=True)
        stages = stages["image_intermediates"]
        last = stages[-1]
        grid = (-(-height // 32), -(-width // 32))
        assert tuple(last.shape[-2:]) == grid
        pool = resized_pool(visual, grid)
        out = tower.forward_all(x)
        torch.testing.assert_close(out["pooled"], pool(last), **TOLERANCE)
        torch.testing.assert_close(tower.encode_image(x), pool(last), **TOLERANCE)
        torch.testing.assert_close(out["taps"][0], stages[1], **TOLERANCE)
        torch.testing.assert_close(out["taps"][1], last, **TOLERANCE)
        assert out["dense"].shape == (2, tower.embed_dim, *grid)


@torch.no_grad()
def test_dense_embedding_is_value_and_output_projection_of_each_cell(files):
    tower, visual = tower_of(files), files[2]
    x = images(1, 70, 100)
    last = visual.forward_intermediates(whole(x), indices=1, intermediates_only=True)
    last, pool = last["image_intermediates"][0], visual.attnpool
    dense = tower.dense_embedding(x)
    assert dense.shape == (1, 32, 3, 4)
    for row in range(3):
        for column in range(4):
            value = pool.v_proj.weight @ last[0, :, row, column] + pool.v_proj.bias
            expected = pool.c_proj.weight @ value + pool.c_proj.bias
            torch.testing.assert_close(dense[0, :, row, column], expected, **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("bins", [3, 7])
def test_regions_are_pooled_by_open_clips_own_pooling(files, bins):
    tower, visual = tower_of(files, out_indices=(1, 2)), files[2]
    x = images(2, 128, 160)
    generator = torch.Generator().manual_seed(2)
    corner = torch.rand(REGIONS_AT_ONCE + 5, 2, generator=generator) * 80
    extent = torch.rand(len(corner), 2, generator=generator) * 60 + 5
    which = torch.randint(0, 2, (len(corner), 1), generator=generator)
    rois = torch.cat([which, corner, corner + extent], dim=1)
    last = visual.forward_intermediates(x, indices=1, intermediates_only=True)
    last = last["image_intermediates"][0]
    pool = visual.attnpool if bins == 3 else resized_pool(visual, (bins, bins))
    expected = pool(roi_align(last, rois, bins, 1 / 32, 0, True))
    taps, dense = tower.taps_and_dense(x)
    assert torch.equal(dense, tower.region_map(x)) and len(taps) == 2
    torch.testing.assert_close(tower.pool_regions(dense, rois, bins), expected, **TOLERANCE)
    assert tower.pool_regions(dense, rois[:0], bins).shape == (0, 32)
    with pytest.raises(ValueError, match="last stage of 256 channels, got 32"):
        tower.pool_regions(tower.dense_embedding(x), rois)


@torch.no_grad()
def test_padded_batch_equals_single_images(files):
    tower = tower_of(files, out_indices=(0, 1, 2, 3))
    batch = torch.full((len(SIZES), 3, 100, 110), 7.0)  # padding that must not be seen
    singles = [images(1, h, w, seed=i) for i, (h, w) in enumerate(SIZES)]
    for row, single, (h, w) in zip(batch, singles, SIZES, strict=True):
        row[:, :h, :w] = single[0]
    together, regions = tower.forward_all(batch, SIZES), tower.region_map(batch, SIZES)
    for i, single in enumerate(singles):
        alone = tower.forward_all(single)
        torch.testing.assert_close(together["pooled"][i : i + 1], alone["pooled"], **TOLERANCE)
        for ours, expected in [
            (regions, tower.region_map(single)),
            (together["dense"], alone["dense"]),
            *zip(together["taps"], alone["taps"], strict=True),
        ]:
            h, w = expected.shape[-2:]
            torch.testing.assert_close(ours[i : i + 1, :, :h, :w], expected, **TOLERANCE)
            assert ours[i, :, h:].eq(0).all() and ours[i, :, :, w:].eq(0).all()


@torch.no_grad()
def test_a_locked_text_delta_is_put_on_top(files, tmp_path):
    config = clip_config(files[0], files[1], method="locked-text")
    config["image_tower"]["type"] = "react_mm.CLIPResNet"
    model = MODELS.build(config)
    shake(model.image_tower, seed=9)
    delta = str(save_delta(model, tmp_path / "delta.safetensors"))
    tower, plain = tower_of(files, delta=delta, out_indices=(3,)), tower_of(files, out_indices=(3,))
    x = images(1, 64, 96)
    model.image_tower.eval()
    torch.testing.assert_close(tower.encode_image(x), model.image_tower.encode_image(x))
    torch.testing.assert_close(tower(x)[0], model.image_tower(x)[0])
    assert (tower(x)[0] - plain(x)[0]).abs().max() > 0.01
    assert not any(p.requires_grad for p in tower.parameters())


def test_trains_with_the_bases_statistics(files):
    tower = tower_of(files, frozen=False, out_indices=(0, 3)).train()
    before = {k: v.clone() for k, v in tower.named_buffers()}
    taps, dense = tower.taps_and_dense(images(2, 50, 70), [(50, 70), (40, 30)])
    rois = torch.tensor([[0.0, 3, 4, 40, 45], [1, 0, 0, 30, 20]])
    (tower.pool_regions(dense, rois).sum() + taps[0].sum()).backward()
    assert all(torch.equal(before[k], v) for k, v in tower.named_buffers())
    assert tower.visual.conv1.weight.grad.abs().max() > 0
    assert tower.visual.attnpool.q_proj.weight.grad.abs().max() > 0


def test_stages_and_released_sizes(files):
    with pytest.raises(ValueError, match="stage 4 does not exist; the tower has 4"):
        tower_of(files, out_indices=(0, 4))
    with torch.device("meta"):
        large = CLIPResNet("RN50x4", out_indices=(0, 1, 2, 3))
        tower = CLIPResNet("RN50", out_indices=(0, 1, 2, 3))
        taps, dense = tower.taps_and_dense(torch.zeros(1, 3, 800, 1333))
    assert large.tap_channels == (320, 640, 1280, 2560)
    assert tower.tap_channels == (256, 512, 1024, 2048)
    assert [tuple(t.shape[-2:]) for t in taps] == [(200, 336), (100, 168), (50, 84), (25, 42)]
    assert dense.shape == (1, 2048, 25, 42)
    assert sum(p.numel() for p in tower.parameters()) == 38_316_896


def test_weights_are_the_files(files):
    state = {k: v for k, v in load_state(files[1]).items() if k.startswith("visual.")}
    own = tower_of(files).state_dict()
    assert set(own) == set(state) and all(torch.equal(own[k], v) for k, v in state.items())
