"""The training-free neighbour of RECO: zero-shot scores and votes of the nearest pairs.

The nearest images of a memory vote for the classes that their captions are about; votes and
zero-shot scores are added with a weight, which Ming and Li (ICML 2024, retrieval-augmented
adaptation) find to be essential. Image keys are searched, which they find better than text keys.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from react_mm.models.clip import CLIP
from react_mm.models.reco.fusion import neighbour_weights
from react_mm.models.reco.refiner import Memory
from react_mm.models.reco.wrapper import CLIPWrapper
from react_mm.models.score_combiner import KINDS, combine
from react_mm.registry import DATASETS, MODELS
from react_mm.suggestions import near_matches

VOTES = ("soft", "nearest")
_TINY = 1e-12


def neighbour_votes(
    similarity: Tensor,
    scores: Tensor,
    there: Tensor,
    temperature: float | None = 0.05,
    votes: str = "soft",
    sharpness: float = 20.0,
) -> Tensor:
    """What the neighbours say of the classes.

    Args:
        similarity: float (B, k, C), cosine of each neighbour's caption with each class.
        scores: float (B, k), similarity of query and neighbour.
        there: bool (B, k), False in an empty place.
        temperature: Neighbours weigh softmax(scores / temperature); None: all the same.
        votes: ``soft``: a caption gives softmax(sharpness * similarity) to the classes;
            ``nearest``: its one vote to the nearest class.
        sharpness: Inverse temperature of soft votes.

    Returns:
        float (B, C), each row sums to 1; zeros where no neighbour is.
    """
    if votes == "soft":
        given = (sharpness * similarity).softmax(-1)
    else:
        given = F.one_hot(similarity.argmax(-1), similarity.shape[-1]).to(similarity.dtype)
    return (neighbour_weights(scores, there, temperature)[..., None] * given).sum(1)


def add_votes(zero_shot: Tensor, votes: Tensor, alpha: float, kind: str = "arithmetic") -> Tensor:
    """Probabilities with votes, float (B, C); rows without votes stay as they are.

    Args:
        zero_shot: Probabilities, float (B, C).
        votes: Of :func:`neighbour_votes`, float (B, C).
        alpha: Weight of the votes in [0, 1].
        kind: See :func:`react_mm.models.score_combiner.combine`.
    """
    voted = votes.sum(-1, keepdim=True) > 0
    mixed = combine(zero_shot.clamp_min(_TINY), votes.clamp_min(_TINY), alpha, kind)
    return torch.where(voted, mixed / mixed.sum(-1, keepdim=True), zero_shot)


@MODELS.register_module()
class NeighbourVotes(CLIPWrapper):
    """Zero-shot classification with votes of the nearest pairs; nothing is trained.

    Embeddings are the base's: image-text retrieval is that of the base.

    Args:
        base: Config of ``react_mm.CLIP``.
        memory: Config of ``react_mm.PairMemory``, or a callable.
        k: Neighbours per image.
        alpha: Weight of the votes in [0, 1].
        temperature: Of the neighbours' weights; None: all the same.
        votes: ``soft`` or ``nearest``.
        sharpness: Inverse temperature of soft votes.
        kind: How votes and zero-shot scores are combined.

    Raises:
        ValueError: If an argument does not fit.
        react_mm.manifest.ManifestError: If the memory was filled by another encoder than the base.
    """

    def __init__(
        self,
        base: Mapping[str, Any] | CLIP,
        memory: Mapping[str, Any] | Memory | None = None,
        k: int = 16,
        alpha: float = 0.5,
        temperature: float | None = 0.05,
        votes: str = "soft",
        sharpness: float = 20.0,
        kind: str = "arithmetic",
    ) -> None:
        for what, value, known in (("votes", votes, VOTES), ("kind", kind, KINDS)):
            if value not in known:
                raise ValueError(
                    f"NeighbourVotes: {what} is one of {', '.join(known)}, not {value!r}"
                    f"{near_matches(value, known)}"
                )
        if not 0 <= alpha <= 1 or k < 1 or (temperature is not None and temperature <= 0):
            raise ValueError(
                f"NeighbourVotes: alpha={alpha} lies in [0, 1], k={k} is 1 or more, temperature="
                f"{temperature} above 0 or None"
            )
        super().__init__(base)
        self.k, self.alpha, self.temperature = k, alpha, temperature
        self.votes, self.sharpness, self.kind = votes, sharpness, kind
        self.memory: Memory | None = None
        self.set_memory(memory)

    def set_memory(self, memory: Mapping[str, Any] | Memory | None) -> None:
        """Another memory from now on.

        Raises:
            react_mm.manifest.ManifestError: If it was filled by another encoder.
        """
        if isinstance(memory, Mapping):
            memory = DATASETS.build(dict(memory))
        if memory is not None:
            memory.check_encoder(self.identity())
        self.memory = memory

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities, float (B, C).

        Args:
            image: Embeddings, float (B, D), L2-normalised.

        Raises:
            RuntimeError: If no memory or no vocabulary is set.
        """
        if self.memory is None:
            raise RuntimeError("NeighbourVotes has no memory: give memory=dict(folder=...)")
        queries = np.ascontiguousarray(image.float().cpu().numpy())
        rows, scores, texts = self.memory(queries, self.k, "image", "uni", "cross")
        similarity = self.class_similarity(torch.from_numpy(texts).to(image.device))
        votes = neighbour_votes(
            similarity,
            torch.from_numpy(scores).to(image.device),
            torch.from_numpy(rows >= 0).to(image.device),
            self.temperature,
            self.votes,
            self.sharpness,
        )
        zero_shot = (self.logit_scale.exp() * self.class_similarity(image)).softmax(-1)
        return add_votes(zero_shot, votes, self.alpha, self.kind).clamp_min(_TINY).log()

    @torch.no_grad()
    def predict(self, inputs: Tensor, **batch: Any) -> list[dict[str, Any]]:
        """As :meth:`react_mm.CLIP.predict`; ``scores`` are logarithms of probabilities."""
        results = super().predict(inputs, **batch)
        if self.vocabulary is not None and results:
            image = torch.stack([result["image_embedding"] for result in results])
            for result, row in zip(results, self.scores(image.to(inputs.device)), strict=True):
                result["scores"] = row.cpu()
        return results
