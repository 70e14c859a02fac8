"""Boxes and masks land where they belong."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from react_mm.reporting import drawings


def test_box_is_drawn_at_its_scaled_place():
    image = Image.new("RGB", (50, 40), "white")
    drawn = drawings.draw_boxes(
        image, [{"box": [10, 20, 30, 35], "name": "kite", "score": 0.5, "right": False}], side=100
    )
    assert drawn.size == (100, 80)
    pixels = np.asarray(drawn)
    assert tuple(pixels[55, 20]) == drawings.WRONG  # left edge: x = 2 * 10
    assert tuple(pixels[70, 40]) == drawings.WRONG  # lower edge: y = 2 * 35
    assert tuple(pixels[55, 40]) == (255, 255, 255)  # inside
    assert np.asarray(image).min() == 255  # the input is untouched


def test_right_wrong_and_fixed_colours():
    image = Image.new("RGB", (64, 64), "white")
    box = {"box": [8, 30, 40, 60], "name": "a"}
    for given, colour, expected in [
        ({**box, "right": True}, None, drawings.RIGHT),
        ({**box, "right": False}, None, drawings.WRONG),
        (box, drawings.TRUTH, drawings.TRUTH),
    ]:
        drawn = drawings.draw_boxes(image, [given], side=64, colour=colour)
        assert drawn.getpixel((8, 45)) == expected


def test_mask_colours_regions_and_ignores_255():
    labels = np.zeros((32, 32), np.uint8)
    labels[:, :8] = 1
    labels[:, 24:] = 255
    drawn = np.asarray(drawings.draw_mask(Image.new("RGB", (32, 32)), labels, ["a", "b"], side=32))
    assert not np.array_equal(drawn[2, 0], drawn[2, 14])
    np.testing.assert_array_equal(drawn[2, 14], drawn[2, 30])


def test_palette_has_distinct_colours():
    colours = drawings.palette(60)
    assert colours.shape == (60, 3)
    assert len({tuple(colour) for colour in colours}) == 60


@pytest.mark.parametrize("size", [(30, 60), (200, 100)])
def test_thumbnail_keeps_the_aspect(tmp_path, size):
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    address = drawings.thumbnail(tmp_path / "a.png", side=50)
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert max(picture.size) == 50
    assert picture.size[0] / picture.size[1] == pytest.approx(size[0] / size[1])
