"""Sigmoid focal loss (Lin et al., arXiv 1708.02002, eq. 5) in mmcv's calling convention.

For the logit x of class c, p = sigmoid(x) and a target t: ``-alpha (1 - p)^gamma log p`` where
t = c, ``-(1 - alpha) p^gamma log(1 - p)`` elsewhere. Logarithms are those of the sigmoid itself, so
that large logits lose nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """The loss per sample and class.

    Args:
        input: Logits (N, C), float.
        target: Class per sample (N,), int64; C (or any number outside 0..C-1) is background.
        weight: Weight per class (C,), applied to a sample by its target; empty for none.
        output: Receives the losses (N, C).
        gamma: Focusing exponent.
        alpha: Weight of the positive class.

    Raises:
        ValueError: If there are weights and a target is background, which then has no weight.
    """
    positive = _positive(input, target)
    logits = _wide(input)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    loss = torch.where(
        positive,
        -alpha * q**gamma * F.logsigmoid(logits),
        -(1 - alpha) * p**gamma * F.logsigmoid(-logits),
    )
    output.copy_(loss * _weights(logits, target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """The derivative of the loss of each sample and class by its logit.

    Args:
        input: Logits (N, C) of the forward call.
        target: Class per sample (N,).
        weight: Weight per class (C,) or empty.
        grad_input: Receives the derivatives (N, C).
        gamma: Focusing exponent.
        alpha: Weight of the positive class.

    Raises:
        ValueError: As the forward call.
    """
    positive = _positive(input, target)
    logits = _wide(input)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    slope = torch.where(
        positive,
        alpha * q**gamma * (gamma * p * F.logsigmoid(logits) - q),
        (1 - alpha) * p**gamma * (p - gamma * q * F.logsigmoid(-logits)),
    )
    grad_input.copy_(slope * _weights(logits, target, weight))


def _wide(input: Tensor) -> Tensor:
    """Half precision is computed in float32."""
    return input if input.dtype in (torch.float32, torch.float64) else input.float()


def _positive(input: Tensor, target: Tensor) -> Tensor:
    """Where the class is the target, (N, C), bool."""
    return target[:, None] == torch.arange(input.shape[1], device=input.device)


def _weights(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """A factor per sample, (N, 1); ones without weights."""
    if not weight.numel():
        return logits.new_ones(())
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < len(weight):
        raise ValueError(
            f"sigmoid_focal_loss: class weights are given for {len(weight)} classes, and a target "
            "lies outside them (background): weigh samples after the loss instead"
        )
    return weight.to(logits)[target][:, None]
