"""Region head that fuses the detector's scores with the frozen tower's own."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.roi_heads import StandardRoIHead
from torch import Tensor

from react_mm.models.layers.cosine_classifier import CosineClassifier
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.vlm_score import VLMScore
from react_mm.registry import MODELS


@MODELS.register_module()
class OpenVocabularyRoIHead(VLMScore, StandardRoIHead):
    """mmdet's region head with the VLM score of F-VLM (arXiv 2209.15639) at test time.

    Args:
        score_combiner: Config of :class:`ScoreCombiner`; None reports the detector alone.
        vlm_temperature: Temperature of the VLM score (F-VLM .01; F-ViT 1/75 or 1/50).
        vlm_roi_size: Bins per side of the RoIAlign (F-VLM 7; F-ViT 1).
        detector_temperature: Temperature of the detector's score where it meets the VLM's (F-VLM
            .01); None: the learned one (F-ViT).
        **kwargs: Those of mmdet's ``StandardRoIHead``. A mask head is made class-agnostic.
    """

    def __init__(
        self,
        score_combiner: dict | None = None,
        vlm_temperature: float = 0.01,
        vlm_roi_size: int = 7,
        detector_temperature: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.init_vlm_score(score_combiner, vlm_temperature, vlm_roi_size)
        self.detector_temperature = detector_temperature

    def init_mask_head(self, mask_roi_extractor: dict | None, mask_head: dict) -> None:
        """mmdet's hook: the classes are names, so there is one mask for all of them."""
        mask_head = {**mask_head, "class_agnostic": True, "num_classes": 1}
        super().init_mask_head(mask_roi_extractor, mask_head)

    @property
    def classifier(self) -> CosineClassifier:
        """The box head's classifier, which knows the vocabulary."""
        return self.bbox_head.classifier

    def follow(self, source: OpenVocabulary, base_classes: Sequence[str]) -> None:
        """Takes over the vocabulary of the detector this head belongs to.

        Args:
            source: The detector.
            base_classes: Names the detector was trained on, for the combiner's weights.
        """
        self.bbox_head.follow(source)
        self.set_base_classes(base_classes)

    def _bbox_forward(self, x: tuple[Tensor, ...], rois: Tensor) -> dict[str, Tensor]:
        """mmdet's hook: scores and boxes of regions; fused log probabilities when not training."""
        results = super()._bbox_forward(x, rois)
        dense = getattr(x, "dense", None)
        if self.training or self.combiner is None or dense is None or not torch.numel(rois):
            return results
        logits = results["cls_score"]
        if self.detector_temperature is not None:
            logits = logits * (self.classifier.temperature / self.detector_temperature)
        results["detector_score"] = logits
        results["cls_score"] = self.combiner.log_probabilities(
            logits, self.vlm_logits(x, rois), self.vlm_weights()
        )
        return results
