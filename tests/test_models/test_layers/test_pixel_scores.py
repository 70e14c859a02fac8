"""Rules on probabilities, on maps written out by hand."""

import pytest
import torch

from react_mm.models.layers.pixel_scores import drop_classes, with_background

SCORES = torch.tensor(
    [  # background, cat, dog, bee; a row of five pixels
        [[0.9, 0.1, 0.1, 0.1, 0.1]],
        [[0.0, 0.6, 0.6, 0.6, 0.2]],
        [[0.1, 0.1, 0.1, 0.1, 0.4]],
        [[0.0, 0.2, 0.2, 0.2, 0.3]],
    ]
)


def test_background_gets_its_threshold():
    found = with_background(SCORES, 0, 0.45)
    assert found[0].tolist() == [[pytest.approx(v) for v in (0.9, 0.45, 0.45, 0.45, 0.45)]]
    assert torch.equal(found[1:], SCORES[1:])
    assert SCORES[0, 0, 0] == 0.9  # a copy
    assert with_background(SCORES, 0, None) is SCORES


def test_small_areas_go():
    # of the four pixels that are no background cat has three, dog one
    found = drop_classes(SCORES, 0, min_area=0.25)
    assert found[[2, 3]].eq(0).all()
    assert torch.equal(found[:2], SCORES[:2])
    assert torch.equal(drop_classes(SCORES, 0, min_area=0.2)[2], SCORES[2])


def test_low_peaks_go_and_the_likeliest_stays():
    assert drop_classes(SCORES, 0, min_peak=0.35)[3].eq(0).all()
    assert torch.equal(drop_classes(SCORES, 0, min_peak=0.35)[2], SCORES[2])
    none = drop_classes(SCORES[1:], None, min_peak=0.95)
    assert none[0].eq(SCORES[1]).all()
    assert none[1:].eq(0).all()
