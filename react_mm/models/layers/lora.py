"""Low-rank updates (LoRA, arXiv 2106.09685) on the blocks of open_clip's transformers.

A frozen matrix W gets an update of rank r, of which only the two factors train:

    W' = W + s * (alpha / r) * B A,    A (r, in) random, B (out, r) zero

so that the start equals the frozen tower bit for bit. s is the gate scale (1; 0 is the start).

No frozen weight is renamed: the layer keeps its parameter and gets a sub-module beside it, and its
class becomes one whose attribute ``weight`` (or ``in_proj_weight``) is the updated matrix. Whatever
reads the weights, as dense inference does in the last block, sees the update.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.layers.gated_attention import GatedAttentionBlock
from react_mm.suggestions import near_matches

PROJECTIONS = ("q", "k", "v")  # the thirds of nn.MultiheadAttention's in_proj_weight, in order
LAYERS = {"out_proj": "attn.out_proj", "c_fc": "mlp.c_fc", "c_proj": "mlp.c_proj"}
TARGETS = (*PROJECTIONS, *LAYERS)
_KEY = re.compile(r"^(?P<layer>.+)\.lora(?:_(?P<projection>[qkv]))?\.(?P<factor>[AB])$")


def is_lora_key(name: str) -> bool:
    """Whether a parameter name is that of a factor of a low-rank update."""
    return _KEY.match(name) is not None


class LowRankUpdate(nn.Module):
    """The two factors of one update.

    Args:
        inputs: Columns of the matrix.
        outputs: Rows of the matrix.
        rank: r.
        alpha: The update is multiplied by alpha / r.
    """

    def __init__(self, inputs: int, outputs: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.empty(rank, inputs))
        self.B = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.A, a=5**0.5)
        self.scaling = alpha / rank
        self.gate_scale = 1.0

    def added_to(self, weight: Tensor) -> Tensor:
        """``weight`` (out, in) with the update; itself where the gate scale is 0."""
        if self.gate_scale == 0.0:
            return weight
        return weight + updated_part(self.A, self.B, self.gate_scale * self.scaling)

    def forward(self, x: Tensor) -> Tensor:
        """What the update adds to the layer's output: float (..., in) to (..., out)."""
        return F.linear(F.linear(x, self.A), self.B) * (self.gate_scale * self.scaling)


def updated_part(a: Tensor, b: Tensor, factor: float) -> Tensor:
    """``factor * B A``, (out, in)."""
    return (b @ a) * factor


class LoRALinear(nn.Linear):
    """A frozen ``nn.Linear`` with the update ``lora`` beside its weight."""

    @property
    def weight(self) -> Tensor:
        """The updated matrix (out, in); the frozen one is the parameter of this name."""
        return self.lora.added_to(self._parameters["weight"])

    def forward(self, x: Tensor) -> Tensor:
        """float (..., in) to (..., out), without ever forming the updated matrix."""
        y = F.linear(x, self._parameters["weight"], self.bias)
        return y if self.lora.gate_scale == 0.0 else y + self.lora(x)

    def merge_(self) -> None:
        """Adds the update to the frozen weight and becomes the plain layer it was."""
        self._parameters["weight"].data = self.weight.detach()
        del self.lora
        self.__class__ = self.plain_class


class LoRAMultiheadAttention(nn.MultiheadAttention):
    """A frozen ``nn.MultiheadAttention`` with updates ``lora_q``, ``lora_k``, ``lora_v``."""

    @property
    def in_proj_weight(self) -> Tensor:
        """The updated matrix (3 C, C); the frozen one is the parameter of this name."""
        frozen = self._parameters["in_proj_weight"]
        thirds = frozen.chunk(3)
        updates = [getattr(self, f"lora_{name}", None) for name in PROJECTIONS]
        if all(update is None or update.gate_scale == 0.0 for update in updates):
            return frozen
        pairs = zip(updates, thirds, strict=True)
        return torch.cat([t if update is None else update.added_to(t) for update, t in pairs])

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As ``nn.MultiheadAttention``.

        Where the updates train, self-attention is computed with the factors, which needs the
        gradient of no full matrix; elsewhere torch's own code runs on the updated matrices.
        """
        own = query is key and key is value and query.ndim == 3 and self.batch_first
        plain = key_padding_mask is None and not need_weights and not self.dropout
        if own and plain and torch.is_grad_enabled() and self._trains():
            return self._low_rank(query, attn_mask), None
        return super().forward(
            query,
            key,
            value,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )

    def _trains(self) -> bool:
        return any(p.requires_grad for n, p in self.named_parameters() if is_lora_key(f"attn.{n}"))

    def _low_rank(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Self-attention of x (B, N, C), in torch's own order of operations.

        The order makes it equal to the frozen attention to the last bit while B is zero.
        """
        batch, tokens, width = x.shape
        x = x.transpose(0, 1)
        packed = F.linear(x, self._parameters["in_proj_weight"], self.in_proj_bias)
        parts = list(packed.unflatten(-1, (3, width)).movedim(-2, 0).contiguous())
        for row, name in enumerate(PROJECTIONS):
            update = getattr(self, f"lora_{name}", None)
            if update is not None and update.gate_scale != 0.0:
                parts[row] = parts[row] + update(x)
        heads = [
            part.view(tokens, batch * self.num_heads, -1)
            .transpose(0, 1)
            .view(batch, self.num_heads, tokens, -1)
            for part in parts
        ]
        if mask is not None:
            mask = mask[None, None] if mask.ndim == 2 else mask.view(batch, -1, tokens, tokens)
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        mixed = mixed.permute(2, 0, 1, 3).reshape(tokens * batch, width)
        return self.out_proj(mixed).view(tokens, batch, width).transpose(0, 1)

    def merge_(self) -> None:
        """Adds the updates to the frozen weight and becomes the plain attention it was."""
        self._parameters["in_proj_weight"].data = self.in_proj_weight.detach()
        for name in PROJECTIONS:
            if hasattr(self, f"lora_{name}"):
                delattr(self, f"lora_{name}")
        self.__class__ = self.plain_class


def insert_lora(
    blocks: Iterable[nn.Module],
    rank: int = 16,
    alpha: float | None = None,
    targets: Sequence[str] = ("q", "k", "v", "out_proj"),
) -> None:
    """Puts low-rank updates beside the matrices of open_clip's residual blocks.

    Args:
        blocks: Blocks with ``attn`` (``nn.MultiheadAttention``) and ``mlp.c_fc, mlp.c_proj``.
        rank: r.
        alpha: Multiplier times r; None: r, so that the update is B A itself.
        targets: Which matrices, of :data:`TARGETS`; q, k and v each get an update of their own.

    Raises:
        ValueError: For an unknown target, an impossible rank, or a block of another kind.
    """
    targets = tuple(targets)
    for target in targets:
        if target not in TARGETS:
            raise ValueError(
                f"lora: unknown target {target!r}{near_matches(target, TARGETS)}; "
                f"known: {', '.join(TARGETS)}"
            )
    if not targets or rank < 1:
        raise ValueError(f"lora: needs rank >= 1 and a target, got rank={rank}, targets={targets}")
    alpha = float(rank if alpha is None else alpha)
    for block in blocks:
        attention = getattr(block, "attn", None)
        if not isinstance(attention, nn.MultiheadAttention) or attention.in_proj_weight is None:
            raise ValueError(
                f"lora: a block of type {type(block).__name__} has no packed "
                "nn.MultiheadAttention; LoRA is built for open_clip's own transformers"
            )
        if isinstance(attention, LoRAMultiheadAttention):
            raise ValueError("lora: this block already has low-rank updates")
        _insert_into_attention(attention, [t for t in targets if t in PROJECTIONS], rank, alpha)
        for target in targets:
            if target in LAYERS:
                _insert_into_linear(block.get_submodule(LAYERS[target]), rank, alpha)


def _insert_into_attention(
    attention: nn.MultiheadAttention, names: Sequence[str], rank: int, alpha: float
) -> None:
    width, weight = attention.embed_dim, attention.in_proj_weight
    attention.plain_class, attention.__class__ = type(attention), LoRAMultiheadAttention
    for name in names:
        update = LowRankUpdate(width, width, rank, alpha).to(weight.device, weight.dtype)
        attention.add_module(f"lora_{name}", update)


def _insert_into_linear(layer: nn.Linear, rank: int, alpha: float) -> None:
    weight = layer.weight
    update = LowRankUpdate(layer.in_features, layer.out_features, rank, alpha)
    layer.add_module("lora", update.to(weight.device, weight.dtype))
    layer.plain_class, layer.__class__ = type(layer), LoRALinear


def merge_lora(module: nn.Module) -> int:
    """Adds every update inside ``module`` to its frozen matrix, in place.

    Returns:
        How many layers were merged; afterwards names and classes are those before
        :func:`insert_lora`.
    """
    layers = [m for m in module.modules() if isinstance(m, LoRALinear | LoRAMultiheadAttention)]
    for layer in layers:
        layer.merge_()
    return len(layers)


def merge_lora_state(
    state: Mapping[str, Tensor], updates: Mapping[str, Tensor], factor: float
) -> dict[str, Tensor]:
    """:func:`merge_lora` on state dicts alone.

    Args:
        state: Frozen weights.
        updates: Factors, named as the modules of :func:`insert_lora` name them.
        factor: Gate scale times alpha / r.

    Raises:
        ValueError: If a factor has no partner or no frozen matrix (named).
    """
    merged = dict(state)
    for key, a in updates.items():
        found = _KEY.match(key)
        if found is None or found["factor"] != "A":
            continue
        projection = found["projection"]
        target = f"{found['layer']}.{'in_proj_weight' if projection else 'weight'}"
        partner = f"{key[:-1]}B"
        for needed, where in ((target, merged), (partner, updates)):
            if needed not in where:
                raise ValueError(f"lora: {key} belongs to {needed}, which is missing")
        part = updated_part(a, updates[partner], factor)
        if projection:
            thirds = list(merged[target].chunk(3))
            thirds[PROJECTIONS.index(projection)] = thirds[PROJECTIONS.index(projection)] + part
            merged[target] = torch.cat(thirds)
        else:
            merged[target] = merged[target] + part
    return merged


def scaled_parts(module: nn.Module) -> list[GatedAttentionBlock | LowRankUpdate]:
    """Everything inside ``module`` that the gate scale multiplies, in order of depth."""
    return [m for m in module.modules() if isinstance(m, GatedAttentionBlock | LowRankUpdate)]
