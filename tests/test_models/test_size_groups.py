"""Taking padded batches apart."""

import torch

from react_mm.models.size_groups import group_by_size


def test_groups_keep_order_and_cut_padding():
    x = torch.arange(4 * 3 * 5 * 6).float().reshape(4, 3, 5, 6)
    groups = group_by_size(x, [(5, 4), (3, 6), (5, 4), (5, 6)])
    assert [rows for rows, _ in groups] == [[0, 2], [1], [3]]
    assert torch.equal(groups[0][1], x[[0, 2], :, :5, :4])
    assert torch.equal(groups[1][1], x[[1], :, :3, :6])
    assert torch.equal(groups[2][1], x[[3]])
