"""Last-block variants for dense embeddings: one table of switches.

CLIP's last block mixes the patch tokens for the sake of the pooled embedding, which blurs where
things are. Training-free methods change that block alone: its attention form, its residual, its
feed-forward network. All of them are rows of :data:`DENSE_MODES`, run by :func:`run_last_block` on
the frozen block's own weights.

``local`` changes no block either: beside the tokens, a second token per cell that sees only the
cells around it is carried through all blocks (:func:`local_tokens`). Small towers need it: their
class token, or the mean of their patch tokens, means something, single patch tokens hardly do.

Sources: MaskCLIP (arXiv 2112.01071), SCLIP (2312.01597), NACLIP (2404.08181), ClearCLIP
(2407.12442); mask class tokens: MaskCLIP of Ding et al. (2208.08984).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.layers.gated_attention import run_gate
from react_mm.models.layers.window_attention import Windows, run_windowed_block
from react_mm.suggestions import near_matches

LOCAL = "local"
LOCAL_RADIUS = {"tok": 1, "avg": 2}
"""Cells on each side that a local token sees, by the tower's pooling: 3 x 3 and 5 x 5."""

GAUSSIAN_STD = 5.0
"""Standard deviation, in patches, of the neighbourhood term of ``kk+gauss`` (NACLIP)."""


@dataclass(frozen=True)
class LastBlock:
    """One row of switches.

    Attributes:
        attention: ``qk`` (the block's own), ``identity`` (each token keeps its value), or a sum of
            softmaxed self-similarities: ``qq``, ``kk``, ``qq+kk``; ``kk+gauss`` favours near keys.
        residual: Whether the tokens that enter the block are added to the attention's output.
        ffn: Whether the block's feed-forward network (with its residual) is run.
    """

    attention: str
    residual: bool
    ffn: bool


DENSE_MODES: dict[str, LastBlock] = {
    "vanilla": LastBlock("qk", residual=True, ffn=True),
    "maskclip": LastBlock("identity", residual=True, ffn=True),
    "sclip": LastBlock("qq+kk", residual=True, ffn=True),
    "naclip": LastBlock("kk+gauss", residual=False, ffn=False),
    "clearclip": LastBlock("qq", residual=False, ffn=False),
}


def check_dense_mode(mode: str) -> str:
    """Returns ``mode``.

    Raises:
        ValueError: If it is no row of the table (near matches are named).
    """
    known = (*DENSE_MODES, LOCAL)
    if mode not in known:
        raise ValueError(
            f"unknown dense_mode {mode!r}{near_matches(mode, known)}; known: {', '.join(known)}"
        )
    return mode


def local_tokens(
    x: Tensor, grid: tuple[int, int], valid: Tensor | None, heads: int, pool_type: str
) -> tuple[Tensor, Tensor]:
    """Adds a token per cell that attends to the cells around it alone.

    In a tower pooled by class token the new tokens are class tokens, each of which sees itself and
    the cells around it. In one pooled by average they are the patch tokens once more, which see
    the class token and, of their own kind, those around them. The tokens there were before do not
    see the new ones, so nothing else changes.

    Args:
        x: Tokens (B, 1 + h * w, C) before the first block, class token first.
        grid: Patch rows and columns (h, w).
        valid: Which cells are no padding, bool (B, h * w), or None for all.
        heads: Attention heads.
        pool_type: ``tok`` or ``avg``.

    Returns:
        Tokens (B, 1 + 2 * h * w, C), and the additive mask (B * heads, N, N), or (N, N) without
        padding.
    """
    cells = grid[0] * grid[1]
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).to(x.device)
    near = (places[:, None] - places[None]).abs().amax(-1) <= LOCAL_RADIUS[pool_type]
    seen = torch.zeros(1 + 2 * cells, 1 + 2 * cells, dtype=torch.bool, device=x.device)
    seen[: 1 + cells, : 1 + cells] = True
    if pool_type == "tok":
        new = x[:, :1].expand(-1, cells, -1)
        seen[1 + cells :, 1 : 1 + cells] = near
        seen[1 + cells :, 1 + cells :].fill_diagonal_(True)
    else:
        new = x[:, 1:]
        seen[1 + cells :, 0] = True
        seen[1 + cells :, 1 + cells :] = near
    if valid is not None:
        kept = torch.ones_like(valid) if pool_type == "tok" else valid
        keys = torch.cat([torch.ones_like(valid[:, :1]), valid, kept], dim=1)
        seen = (seen & keys[:, None]).repeat_interleave(heads, dim=0)
    mask = torch.zeros(seen.shape, dtype=x.dtype, device=x.device)
    return torch.cat([x, new], dim=1), mask.masked_fill(~seen, float("-inf"))


def gaussian_neighbourhood(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Additive attention logits that favour near patches (NACLIP), peak 1.

    Args:
        grid: Patch rows and columns (h, w).
        like: Gives dtype and device.

    Returns:
        Float (1 + h * w, 1 + h * w); zero in the row and the column of the class token.
    """
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).to(like)
    distance = (places[:, None] - places[None]).square().sum(-1)
    return F.pad(torch.exp(-distance / (2 * GAUSSIAN_STD**2)), (1, 0, 1, 0))


def _heads_first(x: Tensor, heads: int) -> Tensor:
    """(B, N, C) to (B * heads, N, C / heads), the layout of MultiheadAttention's masks."""
    batch, tokens, width = x.shape
    return x.reshape(batch, tokens, heads, width // heads).transpose(1, 2).flatten(0, 1)


def attend(
    attn: nn.MultiheadAttention,
    x: Tensor,
    form: str,
    grid: tuple[int, int],
    keys: Tensor | None = None,
) -> Tensor:
    """Attention of one of the surgical forms, on a frozen attention's weights.

    Args:
        attn: The block's attention, ``batch_first``.
        x: Normalised tokens (B, 1 + h * w, C), class token first.
        form: See :class:`LastBlock`; not ``qk``.
        grid: Patch rows and columns (h, w).
        keys: Which keys are no padding, bool (B, 1, 1, N), or None for all.

    Returns:
        Tokens (B, N, C) after the output projection.
    """
    q, k, v = F.linear(x, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    if form == "identity":
        return attn.out_proj(v)
    batch, tokens, width = x.shape
    q, k, v = (_heads_first(part, attn.num_heads) for part in (q, k, v))
    mixed = torch.zeros_like(v)
    hidden = None if keys is None else ~keys.expand(-1, attn.num_heads, -1, -1).flatten(0, 1)
    for term in [t for t in form.split("+") if t != "gauss"]:
        keys = {"qq": q, "kk": k}[term]
        logits = keys @ keys.transpose(1, 2) * keys.shape[-1] ** -0.5
        if form.endswith("+gauss"):
            logits = logits + gaussian_neighbourhood(grid, logits)
        if hidden is not None:
            logits = logits.masked_fill(hidden, float("-inf"))
        mixed = mixed + logits.softmax(dim=-1) @ v
    mixed = mixed.reshape(batch, attn.num_heads, tokens, -1).transpose(1, 2)
    return attn.out_proj(mixed.reshape(batch, tokens, width))


def run_last_block(
    block: nn.Module,
    x: Tensor,
    mode: str,
    grid: tuple[int, int],
    whole: Windows | None = None,
) -> Tensor:
    """Runs a tower's last block with the switches of a dense mode.

    A gated block in front of it is run as usual, on all tokens.

    Args:
        block: open_clip's ``ResidualAttentionBlock``.
        x: Tokens (B, 1 + h * w, C) that enter the block.
        mode: A key of :data:`DENSE_MODES`.
        grid: Patch rows and columns (h, w).
        whole: The grid as one window whose padding is hidden; None without padding.

    Returns:
        Tokens (B, 1 + h * w, C).
    """
    switches = DENSE_MODES[check_dense_mode(mode)]
    if switches == DENSE_MODES["vanilla"]:
        return block(x) if whole is None else run_windowed_block(block, x, whole)
    x = run_gate(block, x, attention=None if whole is None else whole.attend)
    keys = None if whole is None else whole.keys
    mixed = block.ls_1(attend(block.attn, block.ln_1(x), switches.attention, grid, keys))
    x = x + mixed if switches.residual else mixed
    return x + block.ls_2(block.mlp(block.ln_2(x))) if switches.ffn else x
