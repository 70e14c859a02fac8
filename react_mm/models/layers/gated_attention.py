"""The gated block of REACT's gated-image tuning.

Source: REACT (arXiv 2301.07094) and its public trainer: a complete pre-LN transformer block is run
in front of each of the last K frozen blocks; its two branches are multiplied by the tanh of a
scalar that starts at zero:

    y = x + tanh(alpha_attn)  * MHSA(LN_1(x))
    z = y + tanh(alpha_dense) * MLP(LN_2(y))

so that at step 0 the tower equals the pretrained one bit for bit.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

GATE_NAMES = ("alpha_attn", "alpha_dense")
BLOCK_NAME = "gated_attn_block"


class GatedAttentionBlock(nn.Module):
    """Pre-LN transformer block whose branches pass through tanh gates opened by training.

    Sub-module and parameter names (``ln_1, attn, ln_2, mlp.c_fc, mlp.c_proj, alpha_attn,
    alpha_dense``) are those of the official REACT checkpoints.

    Args:
        width: Channels C of the tokens.
        heads: Attention heads; must divide ``width``.
        mlp_ratio: Hidden channels of the MLP divided by ``width``.
        act_layer: Activation class of the tower (``nn.GELU``, or open_clip's ``QuickGELU``).
        norm_eps: Of both layer norms.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float = 4.0,
        act_layer: type[nn.Module] = nn.GELU,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"gated block: {heads} heads do not divide the width {width}")
        hidden = int(width * mlp_ratio + 1e-6)  # a ratio may come from a division
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width, norm_eps)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, norm_eps)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, hidden), gelu=act_layer(), c_proj=nn.Linear(hidden, width)
            )
        )
        self.alpha_attn = nn.Parameter(torch.zeros(1))
        self.alpha_dense = nn.Parameter(torch.zeros(1))
        self.gate_scale = 1.0

    def forward(
        self,
        x: Tensor,
        attn_mask: Tensor | None = None,
        attention: Callable[[nn.MultiheadAttention, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Runs the block.

        Args:
            x: Tokens, float (B, N, C).
            attn_mask: Optional additive float mask, (N, N) or (B * heads, N, N).
            attention: Runs ``self.attn`` on normalised tokens (B, N, C) in another way, such as
                within windows; then there is no mask.

        Returns:
            Tokens, float (B, N, C). With ``gate_scale`` 0 these are ``x`` itself.
        """
        if self.gate_scale == 0.0:
            return x
        if attn_mask is not None:
            attn_mask = attn_mask.to(x.dtype)
        y = self.ln_1(x)
        if attention is None:
            y = self.attn(y, y, y, need_weights=False, attn_mask=attn_mask)[0]
        else:
            y = attention(self.attn, y)
        x = x + self.gate_scale * self.alpha_attn.tanh() * y
        return x + self.gate_scale * self.alpha_dense.tanh() * self.mlp(self.ln_2(x))


def insert_gate(block: nn.Module, gate: GatedAttentionBlock) -> None:
    """Puts ``gate`` in front of a frozen ``block`` without renaming any of its weights.

    The gate becomes the sub-module ``block.gated_attn_block`` and runs in a forward pre-hook, which
    survives gradient checkpointing and keeps the block's own signature.

    Raises:
        ValueError: If the block already carries one.
    """
    if hasattr(block, BLOCK_NAME):
        raise ValueError("this block already has a gated block in front of it")
    block.add_module(BLOCK_NAME, gate)
    block.register_forward_pre_hook(_run_before, with_kwargs=True)


def run_gate(
    block: nn.Module,
    x: Tensor,
    attn_mask: Tensor | None = None,
    attention: Callable[[nn.MultiheadAttention, Tensor], Tensor] | None = None,
) -> Tensor:
    """Runs only the gate in front of ``block``, for code that replaces the block's own forward.

    Args:
        block: A block of the tower, with or without a gate.
        x: Tokens (B, N, C).
        attn_mask: As the block itself would receive it.
        attention: See :meth:`GatedAttentionBlock.forward`.
    """
    gate = getattr(block, BLOCK_NAME, None)
    return x if gate is None else gate(x, attn_mask=attn_mask, attention=attention)


def _run_before(block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    mask = kwargs.get("attn_mask")
    if mask is None and len(args) == 4:  # open_clip's (q_x, k_x, v_x, attn_mask)
        mask = args[3]
    gated = run_gate(block, args[0], mask)
    return (gated, *args[1:]), kwargs


def gated_blocks(module: nn.Module) -> list[GatedAttentionBlock]:
    """All gated blocks inside ``module``, in order of depth."""
    return [m for m in module.modules() if isinstance(m, GatedAttentionBlock)]
