"""The functions of mmcv's compiled extension, on torchvision's operators.

mmcv calls its extension by function name, with results written into tensors that it allocated; the
functions here keep that calling convention. They run wherever torchvision's operators run (CPU and
CUDA). A name which is not supplied imports without complaint, since mmcv looks all names up when it
is imported, and raises :class:`NotImplementedError` with its name when it is called.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import torch
import torchvision
from torch import Tensor

from react_mm.ops.deformable_attention import ms_deform_attn_backward, ms_deform_attn_forward
from react_mm.ops.deformable_convolution import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from react_mm.ops.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from react_mm.ops.soft_nms import softnms

OPERATORS = (
    "nms",
    "softnms",
    "roi_align_forward",
    "roi_align_backward",
    "deform_conv_forward",
    "deform_conv_backward_input",
    "deform_conv_backward_parameters",
    "modulated_deform_conv_forward",
    "modulated_deform_conv_backward",
    "sigmoid_focal_loss_forward",
    "sigmoid_focal_loss_backward",
    "ms_deform_attn_forward",
    "ms_deform_attn_backward",
    "get_compiler_version",
    "get_compiling_cuda_version",
)


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        bboxes: Boxes (N, 4), float, x1 y1 x2 y2 in pixels.
        scores: Scores (N,), float.
        iou_threshold: A box is dropped when its IoU with a kept, better box exceeds this.
        offset: 0 or 1; width is ``x2 - x1 + offset`` (1 is the pixel-inclusive convention).

    Returns:
        Indices of the kept boxes, int64, by falling score.

    Raises:
        ValueError: ``offset`` is neither 0 nor 1.
    """
    if offset not in (0, 1):
        raise ValueError(f"nms: offset must be 0 or 1, got {offset}")
    if offset:
        # Moving the far corner by one makes every width, height and overlap the inclusive one.
        bboxes = bboxes + bboxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    # torchvision compares a float32 overlap with a double threshold: an overlap of exactly 0.3
    # would exceed the double 0.3. mmcv's threshold has the precision of its boxes.
    threshold = torch.tensor(iou_threshold, dtype=bboxes.dtype).item()
    return torchvision.ops.nms(bboxes, scores, threshold)


def _refuse_max_pooling(name: str, pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            f"mmcv operator '{name}' with pool_mode='max' is not supplied without compiled mmcv "
            "operators; use pool_mode='avg'"
        )


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign (Mask R-CNN, arXiv 1703.06870) with average pooling.

    Args:
        input: Feature map (B, C, H, W), float.
        rois: Regions (N, 5): image index, x1, y1, x2, y2 in input pixels.
        output: Receives the result (N, C, aligned_height, aligned_width).
        argmax_y: Used by max pooling only.
        argmax_x: Used by max pooling only.
        aligned_height: Output height in bins.
        aligned_width: Output width in bins.
        spatial_scale: Feature cells per input pixel.
        sampling_ratio: Samples per bin and axis; 0 takes one per feature cell, rounded up.
        pool_mode: 1 for average; 0 (max) is refused.
        aligned: Whether regions are shifted by half a cell (pixel centres).

    Raises:
        NotImplementedError: ``pool_mode`` is not average.
    """
    _refuse_max_pooling("roi_align_forward", pool_mode)
    input = _computable(input)
    pooled = torchvision.ops.roi_align(
        input,
        rois.to(input.dtype),
        (aligned_height, aligned_width),
        spatial_scale,
        _sampling(sampling_ratio),
        aligned,
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to the feature map.

    Args:
        grad_output: Gradient (N, C, aligned_height, aligned_width).
        rois: Regions (N, 5) of the forward call.
        argmax_y: Used by max pooling only.
        argmax_x: Used by max pooling only.
        grad_input: Receives (adds) the gradient (B, C, H, W).
        aligned_height: Output height in bins.
        aligned_width: Output width in bins.
        spatial_scale: Feature cells per input pixel.
        sampling_ratio: As in the forward call.
        pool_mode: 1 for average; 0 (max) is refused.
        aligned: As in the forward call.

    Raises:
        NotImplementedError: ``pool_mode`` is not average.
    """
    _refuse_max_pooling("roi_align_backward", pool_mode)
    batch, channels, height, width = grad_input.shape
    grad_output = _computable(grad_output)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output,
        rois.to(grad_output.dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        batch,
        channels,
        height,
        width,
        _sampling(sampling_ratio),
        aligned,
    )
    grad_input.add_(gradient)


def _computable(x: Tensor) -> Tensor:
    """float32 where torchvision's RoIAlign lacks the type (bfloat16; float16 on the CPU)."""
    lacks = x.dtype is torch.bfloat16 or (x.dtype is torch.float16 and not x.is_cuda)
    return x.float() if lacks else x


def _sampling(sampling_ratio: int) -> int:
    """torchvision's spelling of mmcv's sampling ratio: -1 stands for 'as many as cells'."""
    return sampling_ratio if sampling_ratio > 0 else -1


def get_compiler_version() -> str:
    """Says, for environment reports, that nothing was compiled."""
    return "not compiled (operators from torchvision by react_mm)"


def get_compiling_cuda_version() -> str:
    """Says, for environment reports, that nothing was compiled."""
    return "not compiled (operators from torchvision by react_mm)"


def missing_operator(name: str) -> Callable[..., NoReturn]:
    """Stands in for an operator which is not supplied (a module-level ``__getattr__``).

    Args:
        name: Operator asked for.

    Returns:
        A function which raises :class:`NotImplementedError` naming the operator when called.

    Raises:
        AttributeError: For dunder names, which are questions of the import system.
    """
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"mmcv operator '{name}' needs mmcv's compiled operators, which this installation "
            "lacks, and react_mm does not supply it. Supplied: "
            f"{', '.join(op for op in OPERATORS if not op.startswith('get_'))}. To compile: "
            "pip install --no-build-isolation --no-cache-dir --force-reinstall onedl-mmcv"
        )

    refuse.__name__ = name
    return refuse


__all__ = [
    "OPERATORS",
    "deform_conv_backward_input",
    "deform_conv_backward_parameters",
    "deform_conv_forward",
    "get_compiler_version",
    "get_compiling_cuda_version",
    "missing_operator",
    "modulated_deform_conv_backward",
    "modulated_deform_conv_forward",
    "ms_deform_attn_backward",
    "ms_deform_attn_forward",
    "nms",
    "roi_align_backward",
    "roi_align_forward",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "softnms",
]
