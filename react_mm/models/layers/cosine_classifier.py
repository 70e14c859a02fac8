"""A classifier whose weights are class embeddings of the text tower."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.registry import MODELS


@MODELS.register_module()
class CosineClassifier(OpenVocabulary, nn.Module):
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
        super().__init__()
        self.embed = nn.Linear(in_features, embed_dim)
        self.background = nn.Parameter(torch.randn(embed_dim) * embed_dim**-0.5)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.init_vocabulary(None, embed_dim)

    def follow(self, source: OpenVocabulary) -> None:
        """Takes over the vocabulary of the model this classifier belongs to."""
        self.vocabulary: Any = source.vocabulary
        self.class_embeddings = source.class_embeddings
        self.class_of_row = source.class_of_row

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
        # The temperature stays within CLIP's own bounds: logits of at most 100.
        temperature = self.log_temperature.exp().clamp(0.01, 1.0)
        return torch.cat([classes, background[:, None]], dim=-1) / temperature
