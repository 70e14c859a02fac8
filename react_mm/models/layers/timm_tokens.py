"""timm's transformers run on grids of any size, and single tokens led through their heads."""

import copy

import torch
from open_clip.timm_model import TimmModel
from timm.layers import resample_abs_pos_embed
from timm.layers.pos_embed_sincos import RotaryEmbeddingCat
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


def embed_patches(
    trunk: VisionTransformer | Eva, images: Tensor
) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
    """Tokens that enter the first block, for images of any size.

    timm's own embedding takes one size alone unless the trunk was built for others.

    Args:
        trunk: The transformer.
        images: Normalised, float (B, 3, H, W), sides multiples of the patch.

    Returns:
        tokens: Float (B, P + h * w, C), prefix (class, registers) first.
        rotary: Rotary positions float (h * w, 2 * head width), or None.
        grid: (h, w).

    Raises:
        ValueError: If patches are dropped at random, or the rotary positions are of a kind whose
            interpolation is not built.
    """
    dropout = getattr(trunk, "patch_drop", None)
    if trunk.training and not isinstance(dropout, nn.Identity | None):
        raise ValueError("patch dropout leaves no map: train without it (patch_drop=0)")
    cells = trunk.patch_embed.proj(images)
    grid = tuple(cells.shape[-2:])
    cells = trunk.patch_embed.norm(cells.flatten(2).transpose(1, 2))
    prefix = [
        token.expand(len(cells), -1, -1)
        for token in (trunk.cls_token, trunk.reg_token)
        if token is not None
    ]
    positions = trunk.pos_embed
    if positions is not None:
        positions = resample_abs_pos_embed(
            positions,
            new_size=list(grid),
            old_size=list(trunk.patch_embed.grid_size),
            num_prefix_tokens=0 if trunk.no_embed_class else trunk.num_prefix_tokens,
        )
        if trunk.no_embed_class:
            cells = cells + positions
    x = torch.cat([*prefix, cells], dim=1) if prefix else cells
    if positions is not None and not trunk.no_embed_class:
        x = x + positions
    return trunk.norm_pre(trunk.pos_drop(x)), _rotary(trunk, grid), grid


def _rotary(trunk: nn.Module, grid: tuple[int, int]) -> Tensor | None:
    rope = getattr(trunk, "rope", None)
    if rope is None:
        return None
    if not isinstance(rope, RotaryEmbeddingCat):
        raise ValueError(
            f"rotary positions of type {type(rope).__name__} are not built for maps; those of "
            "EVA-CLIP are RotaryEmbeddingCat"
        )
    if grid != tuple(trunk.patch_embed.grid_size):
        rope = copy.deepcopy(rope)
        rope.update_feat_shape(list(grid))
    return rope.get_embed()


def without_mixing(block: nn.Module, x: Tensor) -> Tensor:
    """Runs a block on each token alone: its attention gives every token its own value.

    A softmax over one key is 1, whatever query, key and position are; norms, gates, scales,
    residual and MLP of the block stay as they are. The gate in front of the block is not run.

    Args:
        block: timm's block.
        x: Tokens float (B, N, C).
    """
    return block.forward(x.flatten(0, 1)[:, None]).view_as(x)


def head_of_each(visual: TimmModel, x: Tensor) -> Tensor:
    """What pooling and projection make of each token alone.

    Pooling by class token, average or attention of copies of one token gives what that token is
    worth alone, an attention head's output projection and MLP included.

    Args:
        visual: open_clip's tower.
        x: Normalised tokens float (B, N, C).

    Returns:
        Float (B, N, D).

    Raises:
        ValueError: If the attention head adds positions of its own.
    """
    trunk = visual.trunk
    if getattr(trunk.attn_pool, "pos_embed", None) is not None:
        raise ValueError("the attention head adds positions of its own: tokens have no head alone")
    copies = x.flatten(0, 1)[:, None].expand(-1, 1 + trunk.num_prefix_tokens, -1)
    return visual.head(trunk.forward_head(copies)).unflatten(0, x.shape[:2])
