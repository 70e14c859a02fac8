"""What RECO makes of an embedding and its neighbours (arXiv 2306.07196, section 3).

Both kinds take a query and k neighbours in any order (there are no positions among them), return
the query itself where it has no neighbour, and take any k at any time.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

CONFIDENCES = ("none", "bias", "gate")


class Fusion(nn.Module):
    """Interface of a fusion; see :meth:`forward`."""

    def forward(
        self, query: Tensor, neighbours: Tensor, scores: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Refines embeddings.

        Args:
            query: float (B, D), L2-normalised.
            neighbours: float (B, k, D), L2-normalised; k may be 0.
            scores: float (B, k), similarity of query and neighbour's key.
            there: bool (B, k), False in an empty place.

        Returns:
            refined: float (B, D), L2-normalised; ``query`` itself where nothing is there.
            weights: float (B, k), the share of each neighbour, 0 in an empty place; with the
                query's own share they sum to 1.
        """
        if not there.any():
            return query, torch.zeros_like(scores)
        refined, weights = self.fuse(query, neighbours, scores, there)
        found = there.any(1, keepdim=True)
        refined = torch.where(found, F.normalize(refined, dim=-1), query)
        return refined, weights * there

    def fuse(
        self, query: Tensor, neighbours: Tensor, scores: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`; neither normalised nor right where nothing is there."""
        raise NotImplementedError


@MODELS.register_module()
class NeighbourFusion(Fusion):
    """One pre-LN transformer encoder layer over [query; neighbours], read at the query.

    The rows of the layer do not depend on each other but through attention, so only the query's is
    computed: the result is :class:`torch.nn.TransformerEncoderLayer`'s, its cost that of one token.

    Args:
        dim: D.
        heads: Attention heads.
        mlp_ratio: Hidden channels of the MLP per channel.
        dropout: Of attention and MLP, in training.
        residual: Add a zero-initialised linear map of the layer's output to the query, so that the
            start is the query; False: the output itself is the refined embedding (the paper's
            words; it does not say more).
        confidence: How the similarity s of query and neighbour enters the attention, with two
            learned scalars a, b: ``none``; ``bias``: a s + b is added to its logit (a is
            an inverse temperature; starts at 0, as ``none``); ``gate``: log sigmoid(a (s - b)) is,
            which multiplies its weight by a gate in (0, 1).

    Raises:
        ValueError: If ``confidence`` is unknown, or ``heads`` does not divide ``dim``.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 8,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        residual: bool = True,
        confidence: str = "none",
    ) -> None:
        super().__init__()
        if confidence not in CONFIDENCES:
            raise ValueError(
                f"NeighbourFusion: confidence is one of {', '.join(CONFIDENCES)}, not "
                f"{confidence!r}{near_matches(confidence, CONFIDENCES)}"
            )
        if dim % heads:
            raise ValueError(f"NeighbourFusion: {heads} heads do not divide dim={dim}")
        self.dim, self.heads, self.confidence = dim, heads, confidence
        self.layer = nn.TransformerEncoderLayer(
            dim,
            heads,
            dim_feedforward=int(dim * mlp_ratio),
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.types = nn.Parameter(torch.zeros(2, dim))  # added to the query, to each neighbour
        self.output = nn.Linear(dim, dim) if residual else None
        if residual:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)
        if confidence != "none":
            self.scale = nn.Parameter(torch.tensor(0.0 if confidence == "bias" else 10.0))
            self.offset = nn.Parameter(torch.tensor(0.0 if confidence == "bias" else 0.5))

    def fuse(
        self, query: Tensor, neighbours: Tensor, scores: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Fusion.fuse`."""
        tokens = self.tokens(query, neighbours)
        layer, first = self.layer, tokens[:, :1]
        keys = layer.norm1(tokens)
        mask = self.attention_bias(scores, there).repeat_interleave(self.heads, 0)
        mixed, weights = layer.self_attn(keys[:, :1], keys, keys, attn_mask=mask)
        hidden = first + layer.dropout1(mixed)
        inner = layer.dropout(layer.activation(layer.linear1(layer.norm2(hidden))))
        hidden = (hidden + layer.dropout2(layer.linear2(inner)))[:, 0]
        if self.output is not None:
            hidden = query + self.output(F.layer_norm(hidden, (self.dim,)))
        return hidden, weights[:, 0, 1:]

    def tokens(self, query: Tensor, neighbours: Tensor) -> Tensor:
        """Input of the layer, float (B, 1 + k, D): of about unit variance, with its type added."""
        joined = torch.cat([query[:, None], neighbours.to(query.dtype)], 1) * math.sqrt(self.dim)
        kind = self.types[1:].expand(neighbours.shape[1], -1)
        return joined + torch.cat([self.types[:1], kind])

    def attention_bias(self, scores: Tensor, there: Tensor) -> Tensor:
        """What is added to the query's attention logits, float (B, 1, 1 + k); -inf if empty."""
        if self.confidence == "bias":
            bias = self.scale * scores + self.offset
        elif self.confidence == "gate":
            bias = F.logsigmoid(self.scale * (scores - self.offset))
        else:
            bias = torch.zeros_like(scores)
        bias = bias.masked_fill(~there, float("-inf"))
        return F.pad(bias, (1, 0))[:, None]


@MODELS.register_module()
class MeanFusion(Fusion):
    """Without training: the query moved towards the weighted mean of its neighbours.

    refined = (1 - share) query + share sum_i w_i neighbour_i, with w = softmax(s / temperature), or
    equal weights.

    Args:
        share: Of the neighbours, in [0, 1].
        temperature: Of the similarities; None: equal weights.
        dim: Not needed; accepted so that configs may exchange the kinds.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self, share: float = 0.3, temperature: float | None = None, dim: int | None = None
    ) -> None:
        super().__init__()
        if not 0 <= share <= 1 or (temperature is not None and temperature <= 0):
            raise ValueError(
                f"MeanFusion: share={share} must lie in [0, 1], temperature={temperature} be "
                "above 0 or None"
            )
        self.share, self.temperature, self.dim = share, temperature, dim

    def fuse(
        self, query: Tensor, neighbours: Tensor, scores: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`Fusion.fuse`."""
        weights = self.share * neighbour_weights(scores, there, self.temperature)
        mean = (weights[..., None] * neighbours.to(query.dtype)).sum(1)
        return (1 - self.share) * query + mean, weights


def neighbour_weights(scores: Tensor, there: Tensor, temperature: float | None) -> Tensor:
    """Weights of neighbours by their similarity, float (B, k); each row sums to 1, or is empty.

    Args:
        scores: float (B, k).
        there: bool (B, k).
        temperature: softmax(s / temperature) over what is there; None: equal weights.
    """
    logits = torch.zeros_like(scores) if temperature is None else scores / temperature
    weights = logits.masked_fill(~there, torch.finfo(logits.dtype).min).softmax(-1) * there
    return weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)


def build_fusion(fusion: "dict[str, Any] | nn.Module") -> nn.Module:
    """A fusion from its config, or as given."""
    return fusion if isinstance(fusion, nn.Module) else MODELS.build(dict(fusion))
