"""Region embeddings where they can be told by hand."""

import torch

from react_mm.models.layers.region_pooling import region_embeddings


def test_a_box_inside_one_cell_takes_that_cell():
    dense = torch.randn(2, 5, 6, 7)
    # Around (20, 36), the centre of row 4, column 2 at stride 8: one bilinear sample, on it.
    rois = torch.tensor([[1.0, 19.0, 35.0, 21.0, 37.0]])
    pooled = region_embeddings(dense, rois, stride=8, size=1, normalise_cells=False)
    torch.testing.assert_close(pooled[0], dense[1, :, 4, 2])


def test_cells_are_normalised_before_pooling():
    dense = torch.zeros(1, 2, 2, 2)
    dense[0, 0, :, 0] = 100.0  # left column: first axis, loud
    dense[0, 1, :, 1] = 1.0  # right column: second axis, quiet
    box = torch.tensor([[0.0, 0.0, 0.0, 16.0, 16.0]])
    pooled = region_embeddings(dense, box, stride=8)
    torch.testing.assert_close(pooled[0, 0], pooled[0, 1])
    loud = region_embeddings(dense, box, stride=8, normalise_cells=False)
    assert loud[0, 0] > 50 * loud[0, 1]
