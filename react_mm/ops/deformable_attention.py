"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159, eq. 3) for mmcv.

mmcv calls its extension on CUDA only; on the CPU it has a path of its own. Here the operator is
mmcv's own PyTorch version, and its gradients are PyTorch's.
"""

import torch
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int = 64,
) -> Tensor:
    """Samples every level at the given places and adds the samples up by weight.

    Args:
        value: Values of all levels one after another (B, S, M, D), float; M heads of D channels.
        value_spatial_shapes: Height and width of each level (L, 2), int64; their areas sum to S.
        value_level_start_index: First row of each level (L,); it follows from the shapes.
        sampling_locations: Places (B, Q, M, L, P, 2), x and y in 0..1 of the level.
        attention_weights: Weights (B, Q, M, L, P).
        im2col_step: Of the compiled operator; unused.

    Returns:
        (B, Q, M * D).
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    sizes = value_spatial_shapes.tolist()  # plain numbers: one transfer from the device
    return multi_scale_deformable_attn_pytorch(value, sizes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int = 64,
) -> None:
    """Adds the gradients of :func:`ms_deform_attn_forward`.

    Args:
        value: As in the forward call.
        value_spatial_shapes: As in the forward call.
        value_level_start_index: As in the forward call.
        sampling_locations: As in the forward call.
        attention_weights: As in the forward call.
        grad_output: Gradient (B, Q, M * D).
        grad_value: Receives the gradient of the values.
        grad_sampling_loc: Receives the gradient of the places.
        grad_attn_weight: Receives the gradient of the weights.
        im2col_step: Of the compiled operator; unused.
    """
    with torch.enable_grad():
        leaves = [
            tensor.detach().requires_grad_()
            for tensor in (value, sampling_locations, attention_weights)
        ]
        output = ms_deform_attn_forward(
            leaves[0], value_spatial_shapes, value_level_start_index, leaves[1], leaves[2]
        )
        gradients = torch.autograd.grad(output, leaves, grad_output)
    targets = (grad_value, grad_sampling_loc, grad_attn_weight)
    for target, gradient in zip(targets, gradients, strict=True):
        target += gradient
