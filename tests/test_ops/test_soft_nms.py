"""Soft-NMS against its definition, through mmcv's public functions."""

import numpy as np
import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from tests.test_ops.references import brute_force_soft_nms

METHODS = ["naive", "linear", "gaussian"]


def crowd(seed, count=40):
    """Whole-number boxes of a few pixels, where the offset decides; all scores differ."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 16, (count, 2))
    boxes = np.concatenate([start, start + rng.integers(1, 11, (count, 2))], axis=1)
    return boxes.astype(np.float64), rng.permutation(count) / count + 0.01


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_equals_definition(method, offset):
    from mmcv.ops import soft_nms

    for seed in range(8):
        boxes, scores = crowd(seed)
        options = dict(iou_threshold=0.3, sigma=0.5, min_score=0.05, method=method, offset=offset)
        dets, indices = soft_nms(torch.tensor(boxes), torch.tensor(scores), **options)
        kept, lowered = brute_force_soft_nms(boxes, scores, 0.3, 0.5, 0.05, method, offset)
        assert indices.tolist() == kept and 1 < len(kept) < len(boxes)
        np.testing.assert_allclose(dets[:, 4].numpy(), lowered, atol=1e-12)
        np.testing.assert_array_equal(dets[:, :4].numpy(), boxes[kept])


def test_methods_differ_and_naive_is_nms():
    from mmcv.ops import nms, soft_nms

    boxes, scores = (torch.tensor(part) for part in crowd(3))
    kept = {m: soft_nms(boxes, scores, 0.3, method=m)[1].tolist() for m in METHODS}
    assert kept["naive"] == nms(boxes, scores, 0.3)[1].tolist()
    assert len(kept["linear"]) > len(kept["naive"])
    assert kept["linear"] != kept["gaussian"]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_one_and_flat_boxes(method):
    from mmcv.ops import soft_nms

    dets, indices = soft_nms(torch.zeros(0, 4), torch.zeros(0), method=method)
    assert dets.shape == (0, 5) and indices.shape == (0,) and indices.dtype == torch.int64
    dets, indices = soft_nms(torch.tensor([[1.0, 1, 3, 3]]), torch.tensor([0.5]), method=method)
    assert indices.tolist() == [0] and dets.tolist() == [[1, 1, 3, 3, 0.5]]
    flat = torch.tensor([[1.0, 1, 1, 1], [1.0, 1, 1, 1]])  # no area: no overlap, nothing lowered
    dets, indices = soft_nms(flat, torch.tensor([0.5, 0.25]), method=method)
    assert indices.tolist() == [0, 1] and dets[:, 4].tolist() == [0.5, 0.25]


def test_ties_come_in_the_order_given():
    from mmcv.ops import soft_nms

    boxes = torch.tensor([[20.0 * i, 0, 20.0 * i + 9, 9] for i in range(5)])
    assert soft_nms(boxes, torch.full((5,), 0.5))[1].tolist() == [0, 1, 2, 3, 4]


def test_numpy_arrays_and_batched_classes():
    """mmdet's way: soft-NMS per class; boxes of another class lower nothing."""
    from mmcv.ops import batched_nms, soft_nms

    boxes, scores = crowd(1)
    dets, indices = soft_nms(boxes.astype(np.float32), scores.astype(np.float32))
    assert isinstance(dets, np.ndarray) and isinstance(indices, np.ndarray) and len(dets)
    boxes, scores = torch.tensor(boxes).float(), torch.tensor(scores).float()
    classes = torch.arange(len(boxes)) % 2
    cfg = dict(type="soft_nms", iou_threshold=0.3, min_score=0.05)
    dets, keep = batched_nms(boxes, scores, classes, cfg)
    for label in (0, 1):
        own = torch.nonzero(classes == label).flatten()
        alone, kept = soft_nms(boxes[own], scores[own], 0.3, min_score=0.05)
        mine = classes[keep] == label
        assert sorted(keep[mine].tolist()) == sorted(own[kept].tolist())
        np.testing.assert_allclose(sorted(dets[mine, 4]), sorted(alone[:, 4]), atol=1e-6)


def test_unknown_method_and_offset():
    from react_mm.ops.mmcv_ext import softnms

    empty = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 5)
    with pytest.raises(ValueError, match="method must be 0, 1 or 2"):
        softnms(*empty, 0.3, 0.5, 0.1, 3, 0)
    with pytest.raises(ValueError, match="offset must be 0 or 1"):
        softnms(*empty, 0.3, 0.5, 0.1, 1, 2)
