"""PAMR against loops over pixels."""

import math

import pytest
import torch

from react_mm.models.layers.mask_refinement import PixelAdaptiveRefinement


def by_loops(image, mask, dilations, spread):
    """One iteration on one image (3, H, W) and its masks (C, H, W)."""
    height, width = image.shape[1:]
    out = torch.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            places = [
                (min(max(y + dy * d, 0), height - 1), min(max(x + dx * d, 0), width - 1))
                for d in dilations
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if (dy, dx) != (0, 0)
            ]
            scores = []
            for a, b in places:
                total = 0.0
                for channel in image:
                    among = torch.stack([channel[p] for p in places] + [channel[y, x]])
                    sigma = math.sqrt(float((among - among.mean()).square().sum()) / len(places))
                    total -= abs(float(channel[a, b] - channel[y, x])) / (1e-8 + spread * sigma)
                scores.append(math.exp(total / 3))
            for weight, (a, b) in zip(scores, places, strict=True):
                out[:, y, x] += weight / sum(scores) * mask[:, a, b]
    return out


def test_equals_loops():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 5, 7, generator=generator)
    masks = torch.rand(2, 3, 5, 7, generator=generator).softmax(1)
    layer = PixelAdaptiveRefinement(iterations=2, dilations=(1, 2), spread=0.3)
    found = layer(images, masks)
    for image, mask, ours in zip(images, masks, found, strict=True):
        theirs = by_loops(image, by_loops(image, mask, (1, 2), 0.3), (1, 2), 0.3)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 5, 7))


def test_normalisation_of_the_picture_changes_nothing():
    image, mask = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    layer = PixelAdaptiveRefinement(iterations=3, dilations=(2,))
    torch.testing.assert_close(layer(image, mask), layer(3 * image - 1, mask), rtol=0, atol=1e-4)


def test_an_edge_stops_it_and_a_flat_picture_does_not():
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1  # one column over the edge
    layer = PixelAdaptiveRefinement(iterations=20, dilations=(1,), spread=0.05)
    refined = layer(image, mask)[0, 0]
    assert (refined[:, 3] < 0.5).all()
    assert (refined[:, 4:] > 0.95).all()
    flat = layer(torch.zeros_like(image), mask)[0, 0]
    assert (flat[:, 4] < 0.95).all()


@pytest.mark.parametrize("wrong", [dict(iterations=0), dict(dilations=()), dict(spread=0)])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="above 0"):
        PixelAdaptiveRefinement(**wrong)
