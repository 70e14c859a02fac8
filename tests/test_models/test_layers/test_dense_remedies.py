"""Earlier blocks and smoothed outliers, by hand."""

import pytest
import torch

from react_mm.models.layers.dense_attention import DENSE_MODES
from react_mm.models.layers.dense_remedies import (
    check_remedies,
    dense_at,
    outliers,
    smooth_outliers,
)
from tests.dense_models import small_segmentor
from tests.dense_towers import gated_tower
from tests.test_models.test_layers import test_dense_attention as by_hand


@pytest.mark.parametrize("mode", list(DENSE_MODES))
def test_last_block_without_remedy_is_the_dense_embedding(tmp_path, mode):
    tower, x = gated_tower(tmp_path, dense_mode=mode), torch.randn(2, 3, 64, 90)
    torch.testing.assert_close(dense_at(tower, x), tower.dense_embedding(x), rtol=0, atol=1e-6)


def test_earlier_block_by_hand(tmp_path):
    tower = gated_tower(tmp_path, dense_mode="naclip", blocks=3)
    image = torch.randn(3, 48, 64)
    whole = list(tower.visual.transformer.resblocks)
    expected = None
    try:  # a tower that ends two blocks earlier is what is wanted
        tower.visual.transformer.resblocks = torch.nn.ModuleList(whole[:-1])
        expected = by_hand.reference_dense(tower, image, "naclip")
    finally:
        tower.visual.transformer.resblocks = torch.nn.ModuleList(whole)
    found = dense_at(tower, image[None], layer=-2)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found - dense_at(tower, image[None])[0]).abs().max() > 1e-2


def test_outliers_take_their_neighbours_mean():
    tokens = torch.rand(2, 12, 5) + 0.5
    tokens[0, 5] *= 50
    tokens[0, 6] *= 50
    assert outliers(tokens, 10).nonzero().tolist() == [[0, 5], [0, 6]]
    smooth = smooth_outliers(tokens, (3, 4), 10)
    untouched = [i for i in range(12) if i not in (5, 6)]
    assert torch.equal(smooth[0, untouched], tokens[0, untouched])
    assert torch.equal(smooth[1], tokens[1])
    near = [0, 1, 2, 4, 8, 9, 10]  # around cell (1, 1), without the other outlier
    torch.testing.assert_close(smooth[0, 5], tokens[0, near].mean(0))


def test_segmentor_takes_the_remedies(tmp_path):
    model = small_segmentor(tmp_path, layer=-2, outlier_ratio=1.05)
    x = torch.randn(1, 3, 64, 64)
    expected = dense_at(model.backbone, x, -2, 1.05)
    assert torch.equal(model.extract_feat(x), expected)
    assert not torch.allclose(expected, dense_at(model.backbone, x, -2), atol=1e-3)


def test_what_cannot_be_remedied_is_refused(tmp_path):
    tower = gated_tower(tmp_path, dense_mode="maskclip")
    with pytest.raises(ValueError, match="layer 4 does not exist"):
        check_remedies(tower, 4, None)
    with pytest.raises(ValueError, match="must exceed 1"):
        check_remedies(tower, -1, 0.5)
    with pytest.raises(ValueError, match="dense_mode='local'"):
        check_remedies(gated_tower(tmp_path, dense_mode="local"), -2, None)
    with pytest.raises(ValueError, match="object with dense_mode=None"):
        check_remedies(object(), -2, None)
