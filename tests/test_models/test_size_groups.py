"""Taking padded batches apart."""

import pytest
import torch
import torch.nn.functional as F

from react_mm.models.size_groups import fit_to, group_by_size, run_by_size


def test_groups_keep_order_and_cut_padding():
    x = torch.arange(4 * 3 * 5 * 6).float().reshape(4, 3, 5, 6)
    groups = group_by_size(x, [(5, 4), (3, 6), (5, 4), (5, 6)])
    assert [rows for rows, _ in groups] == [[0, 2], [1], [3]]
    assert torch.equal(groups[0][1], x[[0, 2], :, :5, :4])
    assert torch.equal(groups[1][1], x[[1], :, :3, :6])
    assert torch.equal(groups[2][1], x[[3]])


def halves(x):
    """A convolution that sees what stands beyond the border, and a vector."""
    kernel = torch.ones(2, 3, 3, 3)
    return [F.conv2d(x, kernel, stride=2, padding=1), x.mean((2, 3))]


def test_a_padded_batch_runs_as_its_images_alone():
    sizes = [(5, 9), (8, 3), (6, 12), (16, 16)]  # the first and the third run together
    batch = torch.full((4, 3, 16, 16), 9.0)
    singles = [torch.randn(1, 3, *size) for size in sizes]
    for row, single, (h, w) in zip(batch, singles, sizes, strict=True):
        row[:, :h, :w] = single[0]
    calls = []

    def run(x):
        calls.append(tuple(x.shape))
        return halves(x)

    maps, vectors = run_by_size(run, batch, sizes, 4)
    assert calls == [(2, 3, 8, 12), (1, 3, 8, 4), (1, 3, 16, 16)]
    assert maps.shape == (4, 2, 8, 8) and vectors.shape == (4, 3)
    for i, single in enumerate(singles):
        (alone, vector) = run_by_size(halves, single, None, 4)
        h, w = alone.shape[-2:]
        torch.testing.assert_close(maps[i : i + 1, :, :h, :w], alone)
        assert maps[i, :, h:].eq(0).all() and maps[i, :, :, w:].eq(0).all()
        torch.testing.assert_close(vectors[i : i + 1], vector)


def test_wrong_sizes_are_refused():
    x = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="2 image sizes for a batch of 1"):
        run_by_size(halves, x, [(8, 8)] * 2, 4)
    with pytest.raises(ValueError, match="exceeds the batch's"):
        fit_to(x, [(9, 8)], (12, 8))
