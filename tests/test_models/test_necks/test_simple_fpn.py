"""Shapes, sources and independence of images of the simple pyramid."""

import pytest
import torch

from react_mm.models.backbones import CLIPViT
from react_mm.models.necks import SimpleFPN
from tests.tiny import write_architecture


def test_level_sizes_and_channels():
    neck = SimpleFPN(24, 16, num_outs=5)
    levels = neck([torch.randn(2, 24, 5, 7)])
    sizes = [tuple(level.shape) for level in levels]
    assert sizes == [
        (2, 16, 20, 28),
        (2, 16, 10, 14),
        (2, 16, 5, 7),
        (2, 16, 3, 4),
        (2, 16, 2, 2),
    ]


def test_one_map_per_level():
    neck = SimpleFPN(8, 8, scales=(2, 1))
    maps = [torch.randn(1, 8, 4, 4) for _ in range(2)]
    levels = neck(maps)
    changed = neck([maps[0], maps[1] + 1])
    assert torch.equal(levels[0], changed[0]) and not torch.equal(levels[1], changed[1])
    with pytest.raises(ValueError, match="3 maps for 2 scales"):
        neck([maps[0]] * 3)


def test_images_do_not_touch_each_other():
    neck = SimpleFPN(8, 8).train()
    x = torch.randn(2, 8, 4, 4)
    together = neck([x])
    for i in range(2):
        for level, alone in zip(together, neck([x[i : i + 1]]), strict=True):
            torch.testing.assert_close(level[i : i + 1], alone, rtol=0, atol=1e-6)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="scale 3"):
        SimpleFPN(8, 8, scales=(3,))
    with pytest.raises(ValueError, match="num_outs 1"):
        SimpleFPN(8, 8, scales=(2, 1), num_outs=1)


STRIDES = {
    16: (4.0, 8.0, 16.0, 32.0, 64.0),
    32: (8.0, 16.0, 32.0, 64.0, 128.0),
    14: (3.5, 7.0, 14.0, 28.0, 56.0),
}


@pytest.mark.parametrize("size", [(75, 130), (224, 224), (97, 31)])
@pytest.mark.parametrize("patch", list(STRIDES))
def test_taps_of_any_stride_give_levels_where_their_strides_say(tmp_path, patch, size):
    """A change in one patch changes the cells that cover it, and their neighbours by the 3 x 3."""
    vision = dict(patch_size=patch, image_size=4 * patch)
    tower = CLIPViT(write_architecture(tmp_path, vision=vision), out_indices=(0, 1, 2, 3))
    neck = SimpleFPN(tower.tap_channels, 16, num_outs=5).eval()
    assert neck.level_strides(tower.stride) == STRIDES[patch]
    with torch.no_grad():
        taps = tower(torch.randn(1, 3, *size))
        assert taps[0].shape[-2:] == (-(-size[0] // patch), -(-size[1] // patch))
        row, column = taps[0].shape[-2] - 1, taps[0].shape[-1] // 2
        levels = neck(taps)
        for tap in taps:
            tap[..., row, column] += 10.0
        changed = neck(taps)
    for level, other, stride in zip(levels, changed, STRIDES[patch], strict=True):
        assert level.shape[-2:] == tuple(-(-t * patch // stride) for t in taps[0].shape[-2:])
        cells = (level - other).abs().amax(1)[0].nonzero().double()
        low, high = cells.amin(0), cells.amax(0) + 1
        for axis, place in enumerate((row, column)):
            first, last = place * patch / stride, (place + 1) * patch / stride
            assert low[axis] - 1 <= first and last <= high[axis] + 1  # it is covered
            assert first - 2 < low[axis] and high[axis] < last + 2.5  # and little else


def test_mmdet_takes_the_fractional_strides_of_l14():
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
    from mmdet.models.task_modules.prior_generators import AnchorGenerator

    strides = SimpleFPN(8, 8, num_outs=5).level_strides(14)
    anchors = AnchorGenerator(strides=strides, ratios=[1.0], scales=[8])
    sizes = [(4 * 6, 4 * 10), (12, 20), (6, 10), (3, 5), (2, 3)]
    for priors, (h, w), stride in zip(
        anchors.grid_priors(sizes, device="cpu"), sizes, strides, strict=True
    ):
        centres = (priors[:, :2] + priors[:, 2:]) / 2
        assert centres.amax(0).tolist() == [(w - 1) * stride, (h - 1) * stride]
        assert (priors[:, 2] - priors[:, 0]).unique().tolist() == [8 * stride]
    layer = dict(type="RoIAlign", output_size=1, sampling_ratio=0)
    extractor = SingleRoIExtractor(layer, out_channels=2, featmap_strides=list(strides[:4]))
    maps = []
    for (h, w), stride in zip(sizes[:4], strides, strict=False):  # each cell holds its centre
        rows = (torch.arange(h) + 0.5).view(-1, 1).expand(h, w) * stride
        columns = (torch.arange(w) + 0.5).expand(h, w) * stride
        maps.append(torch.stack([columns, rows])[None])
    rois = torch.tensor([[0, 20.0, 30, 50, 60], [0, 15.0, 12, 130, 75], [0, 9.0, 8, 14, 15]])
    centres = (rois[:, 1:3] + rois[:, 3:]) / 2
    torch.testing.assert_close(extractor(maps, rois).flatten(1), centres, rtol=0, atol=0.5)
