"""The supplied mmcv operators on CUDA against the same on the CPU, gradients included."""

import numpy as np
import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from tests.test_ops.test_mmcv_ext import random_boxes

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_nms(offset, threshold):
    from mmcv.ops import nms

    rng = np.random.default_rng(0)
    boxes = torch.from_numpy(random_boxes(rng, 300, 100)).float()
    scores = torch.from_numpy(rng.permutation(300) / 300).float()
    expected = nms(boxes, scores, threshold, offset=offset)[1]
    got = nms(boxes.to(DEVICE), scores.to(DEVICE), threshold, offset=offset)[1]
    assert torch.equal(got.cpu(), expected) and 0 < len(expected) < 300


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align(aligned, sampling):
    from mmcv.ops import RoIAlign

    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 2, 2, generator=generator).sort(dim=1).values.flatten(1) * 60
    rois = torch.cat([torch.arange(20)[:, None] % 2, corners], dim=1).float()
    results = []
    for device in ("cpu", DEVICE):
        feature = torch.rand(2, 3, 17, 19, generator=torch.Generator().manual_seed(1))
        feature = feature.to(device).requires_grad_(True)
        pooled = RoIAlign(5, 0.25, sampling, aligned=aligned)(feature, rois.to(device))
        weights = torch.rand(pooled.shape, generator=torch.Generator().manual_seed(2))
        (pooled * weights.to(device)).sum().backward()
        results.append((pooled.detach().cpu(), feature.grad.cpu()))
    torch.testing.assert_close(results[1], results[0], atol=1e-4, rtol=1e-4)
    assert results[0][1].abs().sum() > 0
