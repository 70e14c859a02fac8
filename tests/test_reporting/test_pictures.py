"""What is drawn stands where it should, in the colour of its class."""

import numpy as np
import pytest
from PIL import Image

from react_mm.reporting.drawings import palette
from react_mm.reporting.pictures import (
    draw_classes,
    draw_objects,
    draw_regions,
    fit,
    side_by_side,
)

GREY = (120, 120, 120)


def grey(width=100, height=80):
    return Image.new("RGB", (width, height), GREY)


def test_fit_keeps_the_aspect():
    assert fit(grey(100, 50)).size == (480, 240)
    assert fit(grey(600, 300)).size == (600, 300)
    assert fit(grey(300, 4000)).size == (96, 1280)
    assert fit(grey(1, 4000)).size == (1, 1280)


def test_boxes_are_scaled_and_coloured_by_class():
    objects = [
        dict(box=[10, 40, 60, 70], name="cat", label=0, score=0.9),
        dict(box=[65, 10, 95, 30], name="dog", label=3, score=0.4),
    ]
    drawn = np.asarray(draw_objects(grey(), objects, classes=5))
    scale = 4.8
    colours = palette(6)[1:]
    for entry in objects:
        x1, y1, x2, y2 = (round(v * scale) for v in entry["box"])
        middle = (y1 + y2) // 2
        assert (drawn[middle, x1 : x1 + 2] == colours[entry["label"]]).all()
        assert (drawn[middle, (x1 + x2) // 2] == GREY).all()
    assert (drawn[:, :30] == GREY).all()


def test_labels_do_not_cover_each_other():
    box = [20, 30, 60, 60]
    objects = [dict(box=box, name=n, label=i, score=0.5) for i, n in enumerate("abcd")]
    drawn = np.asarray(draw_objects(grey(), objects, classes=4))
    areas = [(drawn == colour).all(-1).sum() for colour in palette(5)[1:]]
    assert min(areas) > 150  # every label's own chip is to be seen


def test_masks_shade_their_pixels_alone():
    mask = np.zeros((80, 100), dtype=bool)
    mask[40:60, 50:90] = True
    objects = [dict(box=[50, 40, 90, 60], name="cat", label=0, score=1.0)]
    drawn = np.asarray(draw_objects(grey(), objects, [mask], classes=1)).astype(int)
    inside, outside = drawn[round(50 * 4.8), round(70 * 4.8)], drawn[round(70 * 4.8), 20]
    assert (outside == GREY).all()
    expected = 0.55 * np.array(GREY) + 0.45 * palette(2)[1].astype(int)
    np.testing.assert_allclose(inside, expected, atol=2)


def test_no_objects_is_the_picture():
    assert (np.asarray(draw_objects(grey(), [])) == GREY).all()


def test_regions_are_coloured_and_background_is_not():
    labels = np.zeros((80, 100), dtype=int)
    labels[:, 50:] = 2
    names = ("background", "cat", "dog")
    regions = [dict(name="dog", label=2, share=0.5), dict(name="background", label=0, share=0.5)]
    drawn = np.asarray(draw_regions(grey(), labels, names, regions)).astype(int)
    assert (drawn[100, 100] == GREY).all()
    assert drawn.shape[0] > 384  # a legend stands below
    expected = 0.4 * np.array(GREY) + 0.6 * palette(4)[1:][2]
    np.testing.assert_allclose(drawn[100, 400], expected, atol=2)
    legend = drawn[384:]
    assert (legend == palette(4)[1:][2]).all(-1).any()
    assert not (legend == palette(4)[1:][0]).all(-1).any()


def test_bars_are_as_long_as_the_scores():
    classes = [dict(name="cat", score=0.8), dict(name="a dog of a long name " * 4, score=0.2)]
    drawn = np.asarray(draw_classes(grey(), classes))
    below = (drawn[384:] == (15, 118, 110)).all(-1)
    rows = np.flatnonzero(below.any(1))
    lengths = sorted({int(below[row].sum()) for row in rows})
    assert lengths[-1] / lengths[0] == pytest.approx(4, rel=0.05)


def test_side_by_side():
    sheet = side_by_side({"before": Image.new("RGB", (40, 30), (255, 0, 0)), "after": grey(50, 20)})
    pixels = np.asarray(sheet)
    assert sheet.size == (40 + 50 + 3 * 12, 30 + 30 + 12)
    assert (pixels[30:60, 12:52] == (255, 0, 0)).all()
    assert (pixels[30:50, 64:114] == GREY).all()
