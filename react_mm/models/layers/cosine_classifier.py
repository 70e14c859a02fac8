"""Classifiers whose weights are class embeddings of the text tower."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.registry import MODELS


class _NamedClassifier(OpenVocabulary, nn.Module):
    """What both classifiers share: projection to the joint space, learned temperature."""

    def __init__(self, in_features: int, embed_dim: int, temperature: float) -> None:
        super().__init__()
        self.embed = nn.Linear(in_features, embed_dim)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.init_vocabulary(None, embed_dim)

    @property
    def temperature(self) -> Tensor:
        """The learned temperature; logits of at most 200 (F-VLM starts at 100, CLIP's bound)."""
        return self.log_temperature.exp().clamp(0.005, 1.0)

    def follow(self, source: OpenVocabulary) -> None:
        """Takes over the vocabulary of the model this classifier belongs to."""
        self.vocabulary: Any = source.vocabulary
        self.class_embeddings = source.class_embeddings
        self.class_of_row = source.class_of_row


@MODELS.register_module()
class CosineClassifier(_NamedClassifier):
    """Cosine to class embeddings and to a learned background embedding, over a temperature.

    The class embeddings come from the detector's vocabulary and are no weights of this module
    (F-VLM, arXiv 2209.15639): any checkpoint runs under any vocabulary.

    Args:
        in_features: Channels of the region features.
        embed_dim: Dimension D of the joint space.
        temperature: Start value of the learned temperature (logits = cosine / temperature).
        out_features: Ignored: the vocabulary decides (mmdet's heads pass it).
    """

    def __init__(
        self,
        in_features: int,
        embed_dim: int,
        temperature: float = 0.02,
        out_features: int | None = None,
    ) -> None:
        super().__init__(in_features, embed_dim, temperature)
        self.background = nn.Parameter(torch.randn(embed_dim) * embed_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Classifies region features.

        Args:
            x: Float (N, in_features).

        Returns:
            Logits float (N, C + 1), background last.

        Raises:
            RuntimeError: If no vocabulary has been set.
        """
        embeddings = self.embed(x)
        classes = self.class_similarity(embeddings)
        background = F.cosine_similarity(embeddings, self.background[None], dim=-1)
        return torch.cat([classes, background[:, None]], dim=-1) / self.temperature


@MODELS.register_module()
class DenseCosineClassifier(_NamedClassifier):
    """Cosine to class embeddings in every cell of a map, for heads with sigmoid scores.

    logit = cosine / temperature + bias, both learned; there is no background class.

    Args:
        in_features: Channels of the map.
        embed_dim: Dimension D of the joint space.
        temperature: Start value of the learned temperature.
        prior: Score that a cosine of 0 has at the start (RetinaNet's .01: nearly all cells are
            background, arXiv 1708.02002, section 4.1).
    """

    def __init__(
        self, in_features: int, embed_dim: int, temperature: float = 0.07, prior: float = 0.01
    ) -> None:
        super().__init__(in_features, embed_dim, temperature)
        self.bias = nn.Parameter(torch.tensor(-math.log((1 - prior) / prior)))

    def forward(self, x: Tensor) -> Tensor:
        """Classifies cells.

        Args:
            x: Float (B, in_features, h, w).

        Returns:
            Logits float (B, C, h, w).

        Raises:
            RuntimeError: If no vocabulary has been set.
        """
        classes = self.class_similarity(self.embed(x.permute(0, 2, 3, 1)))
        return (classes / self.temperature + self.bias).permute(0, 3, 1, 2)
