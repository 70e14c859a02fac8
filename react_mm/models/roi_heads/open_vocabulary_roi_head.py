"""Region head that fuses the detector's scores with the frozen tower's own."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads import StandardRoIHead
from torch import Tensor

from react_mm.models.layers.region_pooling import region_embeddings
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.score_combiner import ScoreCombiner
from react_mm.registry import MODELS


class DenseFeatures(tuple):
    """The levels of a pyramid, as a tuple, with the tower's dense embedding beside them.

    One more level would break the RPN; an attribute travels through mmdet unseen.

    Attributes:
        dense: Dense embedding float (B, D, h, w), or None.
        stride: Input pixels per cell of ``dense``.
    """

    dense: Tensor | None
    stride: int

    def __new__(
        cls, levels: Sequence[Tensor], dense: Tensor | None = None, stride: int = 1
    ) -> "DenseFeatures":
        """Wraps the levels."""
        features = super().__new__(cls, levels)
        features.dense, features.stride = dense, stride
        return features


@MODELS.register_module()
class OpenVocabularyRoIHead(StandardRoIHead):
    """mmdet's region head with the VLM score of F-VLM (arXiv 2209.15639) at test time.

    VLM score: RoIAlign of the frozen tower's dense embedding, mean, cosine to the class
    embeddings, over a fixed temperature.

    Args:
        score_combiner: Config of :class:`ScoreCombiner`; None reports the detector alone.
        vlm_temperature: Temperature of the VLM score (F-VLM .01; F-ViT 1/75 or 1/50).
        vlm_roi_size: Bins per side of the RoIAlign (F-ViT: 1; here averaged over more).
        **kwargs: Those of mmdet's ``StandardRoIHead``.
    """

    def __init__(
        self,
        score_combiner: dict | None = None,
        vlm_temperature: float = 0.01,
        vlm_roi_size: int = 7,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.combiner: ScoreCombiner | None = None
        if score_combiner is not None:
            self.combiner = MODELS.build(score_combiner)
        self.vlm_temperature = vlm_temperature
        self.vlm_roi_size = vlm_roi_size
        self.base_classes: tuple[str, ...] = ()

    def follow(self, source: OpenVocabulary, base_classes: Sequence[str]) -> None:
        """Takes over the vocabulary of the detector this head belongs to.

        Args:
            source: The detector.
            base_classes: Names the detector was trained on, for the combiner's weights.
        """
        self.bbox_head.follow(source)
        self.base_classes = tuple(base_classes)

    def vlm_logits(self, features: DenseFeatures, rois: Tensor) -> Tensor:
        """VLM logits (N, C) of regions (N, 5)."""
        embeddings = region_embeddings(features.dense, rois, features.stride, self.vlm_roi_size)
        return self.bbox_head.classifier.class_similarity(embeddings) / self.vlm_temperature

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        """mmdet's hook: scores and boxes of regions; fused log probabilities when not training."""
        results = super()._bbox_forward(x, rois)
        dense = getattr(x, "dense", None)
        if self.training or self.combiner is None or dense is None or not torch.numel(rois):
            return results
        names = self.bbox_head.classifier.vocabulary.names
        results["detector_score"] = results["cls_score"]
        results["cls_score"] = self.combiner.log_probabilities(
            results["cls_score"],
            self.vlm_logits(x, rois),
            self.combiner.weights(names, self.base_classes),
        )
        return results
