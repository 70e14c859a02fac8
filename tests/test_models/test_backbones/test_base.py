"""What every tower inherits: regions pooled from its dense embedding."""

import pytest
import torch
from torch.nn.functional import normalize
from torchvision.ops import roi_align

from tests.dense_towers import gated_tower


def test_regions_are_the_mean_of_roi_align_on_normalised_cells(tmp_path):
    tower = gated_tower(tmp_path, "plain", dense_mode="maskclip", out_indices=(1, -1))
    x = torch.randn(2, 3, 80, 61, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 3.0, 5, 40, 70], [1, 20.0, 0, 61, 33], [1, 7.5, 9, 12, 11]])
    taps, dense = tower.taps_and_dense(x)
    assert len(taps) == 2 and torch.equal(dense, tower.region_map(x))
    cells = normalize(tower.dense_embedding(x), dim=1)
    for bins in (1, 7):
        expected = roi_align(cells, rois, bins, 1 / 16, 0, True).mean((2, 3))
        torch.testing.assert_close(tower.pool_regions(dense, rois, bins), expected)
    assert torch.equal(tower.pool_regions(dense, rois), tower.pool_regions(dense, rois, 7))
    assert tower.pool_regions(dense, rois[:0]).shape == (0, tower.embed_dim)


def test_what_is_trained(tmp_path):
    tower = gated_tower(tmp_path, "plain")
    gates = {n for n, _ in tower.named_parameters() if "gated_attn_block" in n}
    for frozen, wanted in ((True, set()), ("except-gates", gates)):
        tower.set_frozen(frozen)
        assert {n for n, p in tower.named_parameters() if p.requires_grad} == wanted
        assert tower.frozen is (frozen is True)
        assert tower.train().training is (frozen is not True)
    with pytest.raises(ValueError, match="except-gates"):
        tower.set_frozen("gates")
    with pytest.raises(ValueError, match="no gated blocks"):
        gated_tower(tmp_path, "plain", blocks=0).set_frozen("except-gates")
