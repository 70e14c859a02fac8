"""The supplied mmcv operators on CUDA against the same on the CPU, gradients included."""

import numpy as np
import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from tests.test_ops.test_deformable_convolution import GEOMETRIES
from tests.test_ops.test_deformable_convolution import case as convolution_case
from tests.test_ops.test_mmcv_ext import random_boxes
from tests.test_ops.test_soft_nms import crowd

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


def on_both(compute, *tensors):
    """Results and gradients of the same call on the CPU and on CUDA, brought to the CPU."""
    results = []
    for device in ("cpu", DEVICE):
        leaves = [tensor.detach().to(device).requires_grad_() for tensor in tensors]
        out = compute(*leaves)
        pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(7), dtype=out.dtype)
        (out * pull.to(device)).sum().backward()
        results.append([out.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves)])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-8, rtol=1e-6)
        assert expected.abs().sum() > 0


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(method):
    from mmcv.ops import soft_nms

    boxes, scores = crowd(0, 200)
    boxes, scores = torch.tensor(boxes), torch.tensor(scores)
    dets, kept = soft_nms(boxes, scores, 0.3, min_score=0.05, method=method)
    dets_cuda, kept_cuda = soft_nms(
        boxes.to(DEVICE), scores.to(DEVICE), 0.3, min_score=0.05, method=method
    )
    assert dets_cuda.is_cuda and torch.equal(kept_cuda.cpu(), kept)
    torch.testing.assert_close(dets_cuda.cpu(), dets)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_deformable_convolutions(name):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    geometry = GEOMETRIES[name]
    defaults = dict(stride=1, padding=0, dilation=1, groups=1, deform_groups=1)
    options = tuple({**defaults, **geometry}.values())
    x, offset, mask, weight, bias = convolution_case(**geometry)
    on_both(lambda *parts: deform_conv2d(*parts, *options), x, offset, weight)
    on_both(lambda *parts: modulated_deform_conv2d(*parts, *options), x, offset, mask, weight, bias)


def test_focal_loss():
    """On CUDA mmdet's FocalLoss calls the operator; on the CPU its Python version."""
    from mmdet.models.losses import FocalLoss

    logits = torch.randn(50, 7, dtype=torch.float64) * 5
    target = torch.randint(0, 8, (50,))
    on_both(lambda x: FocalLoss()(x, target.to(x.device))[None], logits)


def test_deformable_attention():
    """The module takes mmcv's own path on the CPU and the operator on CUDA."""
    from mmcv.ops import MultiScaleDeformableAttention

    module = MultiScaleDeformableAttention(
        8, num_heads=2, num_levels=2, num_points=2, dropout=0.0, batch_first=True
    ).double()
    torch.nn.init.normal_(module.sampling_offsets.weight)
    torch.nn.init.normal_(module.attention_weights.weight)

    def compute(query, value, points):
        return module.to(query.device)(
            query,
            value=value,
            reference_points=points,
            spatial_shapes=torch.tensor([(5, 3), (2, 4)], device=query.device),
            level_start_index=torch.tensor([0, 15], device=query.device),
        )

    shapes = (2, 3, 8), (2, 23, 8), (2, 3, 2, 2)
    on_both(compute, *(torch.rand(*shape, dtype=torch.float64) for shape in shapes))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    from mmcv.ops import modulated_deform_conv2d, sigmoid_focal_loss

    parts = [part.float().to(DEVICE) for part in convolution_case(padding=(1, 1))]
    exact = modulated_deform_conv2d(*parts, 1, 1)
    halves = [part.to(dtype).requires_grad_() for part in parts]
    rounded = modulated_deform_conv2d(*halves, 1, 1)
    rounded.float().sum().backward()
    assert rounded.dtype == dtype and halves[0].grad.dtype == dtype
    assert (rounded.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    logits = torch.randn(9, 4, device=DEVICE)
    target = torch.randint(0, 5, (9,), device=DEVICE)
    exact = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    rounded = sigmoid_focal_loss(logits.to(dtype), target, 2.0, 0.25, None, "none")
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.02)
