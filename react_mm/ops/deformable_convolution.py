"""Deformable convolution in mmcv's calling convention, on torchvision's operators.

Version 1 (Dai et al., arXiv 1703.06211) and the modulated version 2 (Zhu et al., arXiv 1811.11168).
Both libraries lay offsets out alike: (y, x) per kernel cell, offset group by offset group.
"""

from typing import Any

import torch
import torchvision
from torch import Tensor

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **geometry: int,
) -> None:
    """Deformable convolution without bias.

    Args:
        input: Features (B, C, H, W), float.
        weight: Kernels (O, C / group, kH, kW).
        offset: Offsets in cells (B, 2 * deformable_group * kH * kW, H', W').
        output: Receives the result (B, O, H', W').
        columns: mmcv's buffer; unused.
        ones: mmcv's buffer; unused.
        **geometry: ``kW, kH, dW, dH`` (stride), ``padW, padH, dilationW, dilationH, group,
            deformable_group, im2col_step``.
    """
    output.copy_(_convolve(input, offset, None, weight, None, _geometry_v1(geometry)))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **geometry: int,
) -> None:
    """Adds the gradients of :func:`deform_conv_forward` for features and offsets.

    Args:
        input: Features of the forward call.
        offset: Offsets of the forward call.
        grad_output: Gradient (B, O, H', W').
        grad_input: Receives the gradient of the features.
        grad_offset: Receives the gradient of the offsets.
        weight: Kernels of the forward call.
        columns: mmcv's buffer; unused.
        **geometry: As in the forward call.
    """
    found = _gradients(grad_output, input, weight, offset, None, _geometry_v1(geometry))
    grad_input += found[0]
    grad_offset += found[2]


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float = 1.0,
    **geometry: int,
) -> None:
    """Adds the gradient of :func:`deform_conv_forward` for the kernels, times ``scale``.

    Args:
        input: Features of the forward call.
        offset: Offsets of the forward call.
        grad_output: Gradient (B, O, H', W').
        grad_weight: Receives the gradient of the kernels; it does not depend on their values.
        columns: mmcv's buffer; unused.
        ones: mmcv's buffer; unused.
        scale: Factor of the gradient.
        **geometry: As in the forward call.
    """
    kernels = torch.zeros_like(grad_weight)
    found = _gradients(grad_output, input, kernels, offset, None, _geometry_v1(geometry))
    grad_weight += found[1] * scale


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool = True,
    **geometry: int,
) -> None:
    """Modulated deformable convolution.

    Args:
        input: Features (B, C, H, W), float.
        weight: Kernels (O, C / group, kH, kW).
        bias: Bias (O,); empty without bias.
        ones: mmcv's buffer; unused.
        offset: Offsets in cells (B, 2 * deformable_group * kH * kW, H', W').
        mask: Modulation (B, deformable_group * kH * kW, H', W').
        output: Receives the result (B, O, H', W').
        columns: mmcv's buffer; unused.
        with_bias: Whether ``bias`` counts.
        **geometry: ``kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w,
            group, deformable_group``.
    """
    used = bias if with_bias else None
    output.copy_(_convolve(input, offset, mask, weight, used, _geometry_v2(geometry)))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool = True,
    **geometry: int,
) -> None:
    """Adds all gradients of :func:`modulated_deform_conv_forward`.

    Args:
        input: Features of the forward call.
        weight: Kernels of the forward call.
        bias: Bias of the forward call.
        ones: mmcv's buffer; unused.
        offset: Offsets of the forward call.
        mask: Modulation of the forward call.
        columns: mmcv's buffer; unused.
        grad_input: Receives the gradient of the features.
        grad_weight: Receives the gradient of the kernels.
        grad_bias: Receives the gradient of the bias, if there is one.
        grad_offset: Receives the gradient of the offsets.
        grad_mask: Receives the gradient of the modulation.
        grad_output: Gradient (B, O, H', W').
        with_bias: Whether there is a bias.
        **geometry: As in the forward call.
    """
    found = _gradients(grad_output, input, weight, offset, mask, _geometry_v2(geometry))
    targets = (grad_input, grad_weight, grad_offset, grad_mask)
    for target, gradient in zip(targets, found, strict=False):
        target += gradient
    if with_bias:
        grad_bias += found[4]


def _geometry_v1(given: dict[str, int]) -> dict[str, Any]:
    """mmcv's names of version 1 to (stride, padding, dilation, groups, offset groups)."""
    return dict(
        stride=(given["dH"], given["dW"]),
        padding=(given["padH"], given["padW"]),
        dilation=(given["dilationH"], given["dilationW"]),
        groups=given["group"],
        offset_groups=given["deformable_group"],
    )


def _geometry_v2(given: dict[str, int]) -> dict[str, Any]:
    """mmcv's names of version 2 to the same."""
    return dict(
        stride=(given["stride_h"], given["stride_w"]),
        padding=(given["pad_h"], given["pad_w"]),
        dilation=(given["dilation_h"], given["dilation_w"]),
        groups=given["group"],
        offset_groups=given["deformable_group"],
    )


def _convolve(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    geometry: dict[str, Any],
) -> Tensor:
    """torchvision's operator, which derives both group counts from the shapes."""
    input, offset, mask, weight, bias = map(_computable, (input, offset, mask, weight, bias))
    return torchvision.ops.deform_conv2d(
        input,
        offset,
        weight,
        bias,
        geometry["stride"],
        geometry["padding"],
        geometry["dilation"],
        mask,
    )


def _gradients(
    grad_output: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    geometry: dict[str, Any],
) -> Gradients:
    """Gradients for features, kernels, offsets, modulation and bias."""
    modulated = mask is not None
    if mask is None:
        mask = input.new_zeros(len(input), 1)
    bias = weight.new_zeros(len(weight))
    tensors = map(_computable, (grad_output, input, weight, offset, mask, bias))
    return torch.ops.torchvision._deform_conv2d_backward(
        *tensors,
        *geometry["stride"],
        *geometry["padding"],
        *geometry["dilation"],
        geometry["groups"],
        geometry["offset_groups"],
        modulated,
    )


def _computable(tensor: Tensor | None) -> Tensor | None:
    """torchvision knows no bfloat16 here, and no half precision on the CPU."""
    if tensor is None or tensor.dtype in (torch.float32, torch.float64):
        return tensor
    half = tensor.dtype == torch.float16 and tensor.is_cuda
    return tensor if half else tensor.float()
