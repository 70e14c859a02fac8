"""Shapes, sources and independence of images of the simple pyramid."""

import pytest
import torch

from react_mm.models.necks import SimpleFPN


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
