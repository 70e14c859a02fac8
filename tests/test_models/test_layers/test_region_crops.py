"""Crops against PIL, corners by hand."""

import numpy as np
import torch
from PIL import Image

from react_mm.models.layers.region_crops import crop_corners, normalised, region_crops


def test_corners_are_rounded_outwards_and_stay_inside():
    boxes = torch.tensor(
        [[2.2, 3.9, 10.0, 12.5], [-5, -5, 4, 4], [58, 38, 90, 90], [60, 40, 60, 40]]
    )
    assert crop_corners(boxes, (40, 60)) == [
        (2, 3, 10, 13),
        (0, 0, 4, 4),
        (58, 38, 60, 40),
        (59, 39, 60, 40),  # an empty box at the corner still has a pixel
    ]
    assert crop_corners(boxes[:0], (40, 60)) == []


def test_a_scaled_box_keeps_its_centre():
    boxes = torch.tensor([[20.0, 10, 30, 30], [0, 0, 10, 10]])
    assert crop_corners(boxes, (100, 100), 1.5) == [(17, 5, 33, 35), (0, 0, 13, 13)]


def test_crops_are_pils():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 80, 3), dtype=np.uint8)
    boxes = torch.tensor([[3.5, 4, 40, 20], [0, 0, 80, 50], [70, 40, 72, 41]])
    got = region_crops(image, boxes, (24, 32), "bicubic", 1.0)
    assert got.shape == (3, 3, 24, 32) and got.dtype == torch.uint8
    for crop, corners in zip(got, [(3, 4, 40, 20), (0, 0, 80, 50), (70, 40, 72, 41)], strict=True):
        picture = Image.fromarray(image).crop(corners).resize((32, 24), Image.Resampling.BICUBIC)
        assert np.array_equal(crop.permute(1, 2, 0).numpy(), np.asarray(picture))
    assert region_crops(image, boxes[:0], (24, 32)).shape == (0, 3, 24, 32)


def test_values_are_the_towers():
    crops = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 1, 2)
    preprocess = dict(mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 2.0))
    out = normalised(crops, preprocess, torch.zeros(1))
    torch.testing.assert_close(out[0, :, 0], torch.tensor([[-1.0, 1], [-0.5, 1.5], [0, 0.5]]))
