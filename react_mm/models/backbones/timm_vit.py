"""timm's vision transformers inside open_clip (SigLIP, EVA) as image towers."""

from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from open_clip.timm_model import TimmModel
from timm.models.eva import Eva
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpoint_activations

from react_mm.models.backbones.open_clip_tower import (
    OpenClipTower,
    activation_class,
    resolve_indices,
)
from react_mm.models.layers.gated_attention import run_gate
from react_mm.models.layers.timm_tokens import embed_patches, head_of_each, without_mixing
from react_mm.registry import MODELS

DENSE_MODES = ("vanilla", "maskclip")
STATISTICS = ("mean", "std", "interpolation", "resize_mode")


@MODELS.register_module()
class TimmViT(OpenClipTower):
    """open_clip's ``TimmModel`` around timm's ``VisionTransformer`` (SigLIP) or ``Eva``.

    Positions, rotary ones too, are interpolated to each image's own grid as timm does. The dense
    embedding follows MaskCLIP (arXiv 2112.01071): the attention that makes the pooled embedding is
    left out, and each token keeps its own value. Where a class token (or the mean) is pooled (EVA),
    that is the attention of the last block, whose residual and MLP stay, as in CLIPSelf's EVA
    (2310.01403); where an attention head pools (SigLIP), it is that head's, whose output projection
    and MLP stay. The other modes of :class:`react_mm.CLIPViT` are refused by name.

    Its methods are ``full``, ``locked-text``, ``locked-image`` and ``gated-image``. A gated block
    sees the tokens as its frozen block does, without rotary positions. Where neither tag nor
    ``mean`` says how images are normalised and all of open_clip's tags of the architecture agree
    (SigLIP: 0.5), theirs is taken.

    Args:
        arch: See :class:`OpenClipTower`, as the rest.
        out_indices: Blocks after which taps are taken; negative ones count from the end.
        dense_mode: ``maskclip``, or ``vanilla``: the last block as it is (not for SigLIP, whose
            tokens before the attention head are not in the joint space).
        with_cp: Whether activations are recomputed in the backward pass to save memory.

    Raises:
        ValueError: If the trunk, an index or the mode is not supported; the message names it.
    """

    tower_class = TimmModel

    def __init__(
        self,
        arch: str,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        delta: str | None = None,
        gate_scale: float | None = None,
        out_indices: Sequence[int] = (-1,),
        dense_mode: str = "maskclip",
        frozen: bool | str = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        with_cp: bool = False,
        init_cfg: None = None,
    ) -> None:
        self.known_statistics = {} if pretrained else _common_statistics(arch)
        super().__init__(
            arch, pretrained, checkpoint, delta, gate_scale, frozen, mean, std, init_cfg
        )
        self.tap_channels = self.visual.trunk.embed_dim
        self.stride = self.visual.trunk.patch_embed.patch_size[0]
        self.visual.set_grad_checkpointing(with_cp)
        self.out_indices = resolve_indices(out_indices, len(self.insertion_points()), "block")
        self.dense_mode = self._checked_mode(dense_mode)

    def checked(self, visual: nn.Module) -> nn.Module:
        """Refuses trunks that are no plain transformers.

        Raises:
            ValueError: If the trunk is of another class.
        """
        if not isinstance(visual.trunk, VisionTransformer | Eva):
            raise ValueError(
                f"architecture {self.arch!r} has a {type(visual.trunk).__name__} trunk; "
                "react_mm.TimmViT runs timm's VisionTransformer (SigLIP) and Eva"
            )
        visual.preprocess_cfg = {**getattr(visual, "preprocess_cfg", {}), **self.known_statistics}
        return visual

    def _checked_mode(self, mode: str) -> str:
        if mode not in DENSE_MODES:
            raise ValueError(
                f"dense_mode {mode!r} is not built for react_mm.TimmViT, which knows "
                f"{', '.join(DENSE_MODES)}; react_mm.CLIPViT (open_clip's own transformer) has more"
            )
        if mode == "vanilla" and self.visual.trunk.attn_pool is not None:
            raise ValueError(
                f"architecture {self.arch!r} pools by attention: its tokens are in the joint space "
                "only after that head; use dense_mode='maskclip'"
            )
        return mode

    def run(self, images: Tensor, parts: Sequence[str]) -> dict[str, Any]:
        """Runs images without padding; see :meth:`OpenClipTower.run`."""
        trunk, blocks = self.visual.trunk, self.insertion_points()
        x, rotary, grid = embed_patches(trunk, images)
        kept: dict[int, Tensor] = {}
        for index, block in enumerate(blocks):
            before = x
            options = {} if rotary is None else {"rope": rotary}
            if trunk.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint_activations(block, x, use_reentrant=False, **options)
            else:
                x = block(x, **options)
            kept[index] = x
        first = trunk.num_prefix_tokens

        def to_map(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).unflatten(2, grid).contiguous()

        out: dict[str, Any] = {"taps": tuple(to_map(kept[i][:, first:]) for i in self.out_indices)}
        if "dense" in parts:
            if self.dense_mode == "maskclip" and trunk.attn_pool is None:
                x_dense = without_mixing(blocks[-1], run_gate(blocks[-1], before)[:, first:])
            else:
                x_dense = x[:, first:]
            out["dense"] = to_map(head_of_each(self.visual, trunk.norm(x_dense)))
        if "pooled" in parts:
            out["pooled"] = self.visual.head(trunk.forward_head(trunk.norm(x)))
        return out

    def insertion_points(self) -> list[nn.Module]:
        """timm's blocks, first to last."""
        return list(self.visual.trunk.blocks)

    def gate_options(self) -> dict[str, Any]:
        """Width, heads, activation and layer norm of this tower; MLP ratio 4."""
        block = self.insertion_points()[0]
        return dict(
            width=self.visual.trunk.embed_dim,
            heads=block.attn.num_heads,
            mlp_ratio=4.0,
            act_layer=activation_class(block.mlp.act),
            norm_eps=block.norm1.eps,
        )

    def block_copy(self, block: nn.Module) -> dict[str, Tensor]:
        """Weights of a timm ``Block`` (SigLIP); LayerScale is folded into the layers before it.

        Raises:
            ValueError: If the block has more than the gated block (rotary positions, gated MLPs
                and further norms of EVA).
        """
        attn, mlp = getattr(block, "attn", None), getattr(block, "mlp", None)
        extras = [getattr(attn, n, None) for n in ("q_norm", "k_norm", "norm", "gate")]
        extras += [getattr(mlp, "norm", None)]
        if type(block) is not Block or any(not isinstance(e, nn.Identity | None) for e in extras):
            return super().block_copy(block)
        layers = {"attn.out_proj": attn.proj, "mlp.c_fc": mlp.fc1, "mlp.c_proj": mlp.fc2}
        state = {f"{name}.weight": layer.weight for name, layer in layers.items()}
        state |= {f"{name}.bias": _bias(layer) for name, layer in layers.items()}
        state |= {"attn.in_proj_weight": attn.qkv.weight, "attn.in_proj_bias": _bias(attn.qkv)}
        for name, norm in (("ln_1", block.norm1), ("ln_2", block.norm2)):
            state |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
        for scale, name in ((block.ls1, "attn.out_proj"), (block.ls2, "mlp.c_proj")):
            if hasattr(scale, "gamma"):
                state[f"{name}.weight"] = scale.gamma[:, None] * state[f"{name}.weight"]
                state[f"{name}.bias"] = scale.gamma * state[f"{name}.bias"]
        return {key: value.detach().clone() for key, value in state.items()}


def _bias(layer: nn.Linear) -> Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias


def _common_statistics(arch: str) -> dict[str, Any]:
    """Preprocessing that all of open_clip's tags of an architecture share."""
    tags = open_clip.list_pretrained_tags_by_model(arch)
    found = [open_clip.get_pretrained_cfg(arch, tag) for tag in tags]
    found = [{key: c[key] for key in STATISTICS if c.get(key)} for c in found]
    return found[0] if found and all(c == found[0] for c in found) else {}
