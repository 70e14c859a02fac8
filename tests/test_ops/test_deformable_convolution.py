"""Deformable convolutions against their definition, gradients included, through mmcv's classes."""

import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from tests.test_ops.references import deformable_convolution

GEOMETRIES = {
    "plain": {},
    "strided, padded, dilated": dict(stride=(2, 1), padding=(2, 1), dilation=(2, 1)),
    "groups": dict(padding=(1, 1), groups=2, deform_groups=2),
    "deform groups of their own": dict(padding=(1, 0), stride=(2, 3), deform_groups=4),
}


def case(kernel=(3, 2), size=(5, 6), stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
         deform_groups=1):  # fmt: skip
    """Features, offsets, modulation and kernels, float64; samples also lie outside the image."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(size, padding, dilation, kernel, stride, strict=True)
    ]
    cells = deform_groups * kernel[0] * kernel[1]
    x, weight = draw(2, 4, *size), draw(6, 4 // groups, *kernel)
    # Not whole: there the derivative by the offset jumps.
    offset = draw(2, 2 * cells, *out) * 2 + 0.03
    return x, offset, draw(2, cells, *out).sigmoid(), weight, draw(6)


def leaves(tensors):
    return [tensor.clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_version_1(name):
    from mmcv.ops import DeformConv2d

    geometry = GEOMETRIES[name]
    x, offset, _, weight, _ = case(**geometry)
    ours, theirs = leaves([x, offset, weight]), leaves([x, offset, weight])
    layer = DeformConv2d(4, 6, (3, 2), **geometry).double()
    layer.weight = torch.nn.Parameter(ours[2].detach())
    out = layer(ours[0], ours[1])
    expected = deformable_convolution(*theirs, **geometry)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    pull = torch.randn_like(expected)
    (out * pull).sum().backward()
    (expected * pull).sum().backward()
    for got, wanted in zip((ours[0], ours[1], layer.weight), theirs, strict=True):
        assert wanted.grad.abs().max() > 0.1
        torch.testing.assert_close(got.grad, wanted.grad, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_modulated(name, bias):
    from mmcv.ops import ModulatedDeformConv2d

    geometry = GEOMETRIES[name]
    x, offset, mask, weight, shift = case(**geometry)
    parts = [x, offset, mask, weight, shift][: 5 if bias else 4]
    ours, theirs = leaves(parts), leaves(parts)
    layer = ModulatedDeformConv2d(4, 6, (3, 2), bias=bias, **geometry).double()
    layer.weight = torch.nn.Parameter(ours[3].detach())
    if bias:
        layer.bias = torch.nn.Parameter(ours[4].detach())
    out = layer(*ours[:3])
    expected = deformable_convolution(
        theirs[0], theirs[1], theirs[3], theirs[2], theirs[4] if bias else None, **geometry
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    pull = torch.randn_like(expected)
    (out * pull).sum().backward()
    (expected * pull).sum().backward()
    got = [*ours[:3], layer.weight, *([layer.bias] if bias else [])]
    for mine, wanted in zip(got, theirs, strict=True):
        assert wanted.grad.abs().max() > 0.1
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=0, atol=1e-9)


def test_gradcheck():
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    x, offset, mask, weight, shift = case(size=(3, 4))
    assert torch.autograd.gradcheck(deform_conv2d, leaves([x, offset, weight]))
    assert torch.autograd.gradcheck(
        modulated_deform_conv2d, leaves([x, offset, mask, weight, shift])
    )


def test_zero_offset_is_a_convolution():
    from mmcv.ops import DeformConv2d, ModulatedDeformConv2d

    x = torch.randn(3, 4, 7, 5)
    plain = torch.nn.functional.conv2d
    layer = DeformConv2d(4, 2, 3, padding=1)
    out = layer(x, torch.zeros(3, 18, 7, 5))
    torch.testing.assert_close(out, plain(x, layer.weight, padding=1), rtol=1e-5, atol=1e-5)
    layer = ModulatedDeformConv2d(4, 2, 3, padding=1)
    out = layer(x, torch.zeros(3, 18, 7, 5), torch.full((3, 9, 7, 5), 0.5))
    torch.testing.assert_close(out, plain(x, layer.weight / 2, padding=1), rtol=1e-5, atol=1e-5)


def test_frozen_parts_and_mmdets_layers():
    """Only the kernels, or only the features, are trained; the layers mmdet's configs name."""
    from mmcv.ops import DeformConv2d, DeformConv2dPack, ModulatedDeformConv2dPack

    x = torch.randn(2, 4, 6, 7)
    layer = DeformConv2d(4, 2, 3, padding=1)
    layer(x, torch.zeros(2, 18, 6, 7)).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
    layer.requires_grad_(False)
    x.requires_grad_()
    layer(x, torch.zeros(2, 18, 6, 7)).sum().backward()
    assert x.grad.abs().sum() > 0 and layer.weight.grad is not None
    for kind in (DeformConv2dPack, ModulatedDeformConv2dPack):
        layer = kind(4, 2, 3, padding=1)
        layer(x).sum().backward()
        assert all(p.grad is not None for p in layer.parameters())


def test_half_precision_on_the_cpu():
    from mmcv.ops import modulated_deform_conv2d

    x, offset, mask, weight, shift = case(padding=(1, 1))
    exact = modulated_deform_conv2d(x, offset, mask, weight, shift, 1, 1)
    parts = [part.bfloat16().requires_grad_() for part in (x, offset, mask, weight, shift)]
    rounded = modulated_deform_conv2d(*parts, 1, 1)
    assert rounded.dtype == torch.bfloat16
    assert (rounded - exact).abs().mean() < 0.1 * exact.abs().mean()
    rounded.sum().backward()
    assert all(part.grad.dtype == torch.bfloat16 for part in parts)
