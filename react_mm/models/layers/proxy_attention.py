"""Last-block values mixed by the similarity of another model's tokens (ProxyCLIP).

A self-supervised transformer knows which cells belong together, CLIP what they are. So the
attention weights of CLIP's last block are replaced by the similarity of the other model's tokens
(ProxyCLIP, arXiv 2408.04883); residual and feed-forward network are dropped, as is the class token.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def proxy_weights(features: Tensor, beta: float = 1.2, gamma: float = 3.0) -> Tensor:
    """Attention weights from a map of features.

    w = softmax(gamma * (S - beta * mean S)) over the cells whose logit is not negative, with S the
    cosine of each two cells. The mean is that of one image, so that its batch changes nothing.

    Args:
        features: Float (B, C, h, w), any norm.
        beta: How far above the mean similarity a cell must lie to be looked at.
        gamma: Inverse temperature.

    Returns:
        Float (B, h * w, h * w), rows sum to 1. A cell that no other is similar enough to looks at
        itself alone.
    """
    tokens = F.normalize(features.flatten(2), dim=1)
    similarity = tokens.transpose(1, 2) @ tokens
    mean = similarity.mean(dim=(1, 2), keepdim=True)
    logits = gamma * (similarity - beta * mean)
    hidden = logits < 0
    # Cells all alike have a mean of 1: beta above 1 would hide everything, the cell itself too.
    hidden = hidden & ~torch.eye(hidden.shape[-1], dtype=torch.bool, device=hidden.device)
    return logits.masked_fill(hidden, -torch.inf).softmax(dim=-1)


def mix_values(
    block: nn.Module,
    x: Tensor,
    grid: tuple[int, int],
    weights: Tensor,
    target: tuple[int, int],
) -> Tensor:
    """The values of a block's patch tokens, resampled to another grid and mixed by given weights.

    Args:
        block: open_clip's ``ResidualAttentionBlock``.
        x: Tokens (B, 1 + h * w, C) that enter it, class token first.
        grid: Their rows and columns (h, w).
        weights: Float (B, N, N) of the other grid's N cells.
        target: Rows and columns of that grid, which covers the same picture.

    Returns:
        Tokens (B, N, C) after the output projection; neither residual nor feed-forward network.
    """
    attn = block.attn
    width = x.shape[-1]
    values = F.linear(
        block.ln_1(x[:, 1:]), attn.in_proj_weight[2 * width :], attn.in_proj_bias[2 * width :]
    )
    maps = values.transpose(1, 2).unflatten(2, grid)
    if tuple(target) != tuple(grid):
        maps = F.interpolate(maps, target, mode="bilinear", align_corners=False)
    return block.ls_1(attn.out_proj(weights @ maps.flatten(2).transpose(1, 2)))
