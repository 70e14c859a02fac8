"""The frozen tower's own score of regions, for heads that fuse it with their own at test time."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from react_mm.models.backbones.base import ImageTower
from react_mm.models.score_combiner import ScoreCombiner
from react_mm.registry import MODELS


class DenseFeatures(tuple):
    """The levels of a pyramid, as a tuple, with the tower's dense map beside them.

    One more level would break the RPN; attributes travel through mmdet unseen.

    Attributes:
        dense: What the tower's ``pool_regions`` takes, float (B, D, h, w), or None.
        tower: The tower, or None.
    """

    dense: Tensor | None
    tower: ImageTower | None

    def __new__(
        cls,
        levels: Sequence[Tensor],
        dense: Tensor | None = None,
        tower: ImageTower | None = None,
    ) -> "DenseFeatures":
        """Wraps the levels."""
        features = super().__new__(cls, levels)
        features.dense, features.tower = dense, tower
        return features


class VLMScore:
    """Mixin for heads: VLM score of regions (F-VLM, arXiv 2209.15639, section 3.3).

    The tower pools its dense map inside each region; cosine to the class embeddings, over a fixed
    temperature. The host has ``classifier``, which knows the vocabulary.
    """

    classifier: Any
    combiner: ScoreCombiner | None = None
    base_classes: tuple[str, ...] = ()

    def init_vlm_score(
        self, score_combiner: dict | None, vlm_temperature: float, vlm_roi_size: int
    ) -> None:
        """Stores the settings.

        Args:
            score_combiner: Config of :class:`ScoreCombiner`; None reports the detector alone.
            vlm_temperature: Temperature of the VLM score (F-VLM .01; F-ViT 1/75 or 1/50).
            vlm_roi_size: Bins per side of the RoIAlign (F-VLM 7; F-ViT 1).
        """
        if score_combiner is not None:
            self.combiner = MODELS.build(score_combiner)
        self.vlm_temperature = vlm_temperature
        self.vlm_roi_size = vlm_roi_size
        self._weights: Tensor | None = None

    def set_base_classes(self, names: Sequence[str]) -> None:
        """Says which classes the detector was trained on, for the combiner's weights."""
        self.base_classes = tuple(names)
        self._weights = None

    def vlm_logits(self, features: DenseFeatures, rois: Tensor) -> Tensor:
        """VLM logits (N, C) of regions (N, 5): image index, x1, y1, x2, y2 in input pixels."""
        embeddings = features.tower.pool_regions(features.dense, rois, self.vlm_roi_size)
        return self.classifier.class_similarity(embeddings) / self.vlm_temperature

    def vlm_weights(self) -> Tensor:
        """The combiner's weight of each class of the present vocabulary, float (C,)."""
        if self._weights is None:
            names = self.classifier.vocabulary.names
            self._weights = self.combiner.weights(names, self.base_classes)
        return self._weights
