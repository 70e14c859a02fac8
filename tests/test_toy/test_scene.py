"""Drawings: determinism, boxes, masks and occlusion."""

import numpy as np
import pytest

from react_mm.toy import scene
from react_mm.toy.drawing import Pen, frame
from react_mm.toy.sampling import labelled_single
from react_mm.toy.sampling import scene as sample_scene
from react_mm.toy.world import CONCEPTS


def _pixels(drawing):
    return drawing.image.tobytes(), [(o.concept, o.mask.tobytes()) for o in drawing.objects]


def test_a_drawing_is_a_function_of_its_seed():
    for seed in (0, 1):
        first, second = (sample_scene(seed, "train", 3) for _ in range(2))
        assert _pixels(first) == _pixels(second)
    assert _pixels(sample_scene(0, "train", 3)) != _pixels(sample_scene(1, "train", 3))
    assert _pixels(sample_scene(0, "train", 3)) != _pixels(sample_scene(0, "test", 3))
    assert _pixels(labelled_single(0, "val", 5, 0)) != _pixels(labelled_single(0, "test", 5, 0))


@pytest.mark.parametrize("concept", range(len(CONCEPTS)), ids=lambda i: CONCEPTS[i].name)
def test_single_object_is_visible_and_inside(concept):
    for index in range(3):
        drawing = labelled_single(0, "val", concept, index)
        assert drawing.image.shape == (64, 64, 3) and drawing.image.dtype == np.uint8
        (thing,) = drawing.objects
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 64
        assert thing.mask.sum() > 60


def test_boxes_are_tight_and_masks_do_not_overlap():
    counts = set()
    for index in range(60):
        drawing = sample_scene(0, "test", index)
        height, width = drawing.image.shape[:2]
        assert 64 <= height <= 96 and 64 <= width <= 96
        counts.add(len(drawing.objects))
        covered = np.zeros((height, width), int)
        for thing in drawing.objects:
            ys, xs = np.nonzero(thing.mask)
            assert thing.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            covered += thing.mask
        assert covered.max() <= 1
    assert counts == {1, 2, 3, 4, 5}


def test_what_is_in_front_hides_what_is_behind(monkeypatch):
    """Two squares with 4 x 4 common pixels: the later one keeps them."""

    def square(rng, canvas, concept, centre, size):
        pen = Pen(canvas, frame(centre, size, 0, 1, 0, False))
        pen.rect(-1, -1, 1, 1, (concept, 0, 0))
        return pen.mask, "red"

    monkeypatch.setattr(scene, "_draw_object", square)
    monkeypatch.setattr(scene, "_place", lambda *a: [(20, 20, 8), (32, 32, 8)])
    drawing = scene.draw_scene(np.random.default_rng(0), [1, 2], 64, 64)
    back, front = drawing.objects
    assert front.mask.sum() == pytest.approx(256, abs=34)
    assert not (back.mask & front.mask).any()
    assert front.mask[26, 26] and not back.mask[26, 26]
    assert back.mask[14, 14]


def test_an_object_that_would_be_hidden_is_left_out(monkeypatch):
    monkeypatch.setattr(scene, "_place", lambda *a: [(32, 32, 7), (32, 32, 30)])
    drawing = scene.draw_scene(np.random.default_rng(0), [0, 12], 64, 64)  # a house in front
    assert [o.concept for o in drawing.objects] == [0]


def test_the_mask_covers_what_was_drawn():
    canvas = np.zeros((128, 128, 3), np.uint8)
    pen = Pen(canvas, frame((32, 32), 20, 30, 1.2, 0.1, True))
    pen.ellipse(0, 0, 0.9, 0.5, (255, 255, 255), 20, ("dots", (255, 0, 0), 3.0, 0.2))
    pen.line([(-1, -1), (1, 1)], 0.1, (0, 255, 0))
    solid = canvas.max(2) > 200
    assert (pen.mask[solid] == 255).mean() > 0.99
    assert (canvas.max(2)[pen.mask == 255] > 0).mean() > 0.97


def test_an_unknown_texture_is_an_error():
    pen = Pen(np.zeros((64, 64, 3), np.uint8), frame((16, 16), 10, 0, 1, 0, False))
    with pytest.raises(ValueError, match="tartan"):
        pen.rect(-1, -1, 1, 1, (1, 2, 3), ("tartan", (0, 0, 0), 2.0, 0.0))
