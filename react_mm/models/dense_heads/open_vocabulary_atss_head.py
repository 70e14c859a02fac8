"""ATSS head with a cosine classifier, and the frozen tower's score for its best boxes."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import ATSSHead
from mmdet.models.utils import filter_scores_and_topk
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from react_mm.models.layers.cosine_classifier import DenseCosineClassifier
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.vlm_score import DenseFeatures, VLMScore
from react_mm.registry import MODELS


@MODELS.register_module()
class OpenVocabularyATSSHead(VLMScore, ATSSHead):
    """mmdet's ATSS head (arXiv 1912.02424) whose classes are those of the detector's vocabulary.

    Each cell is projected to the joint space; its logits are cosines to the class embeddings. Boxes
    are class-agnostic, as ATSS's are. At test time the VLM scores the best boxes only, so that its
    cost does not grow with the image.

    Args:
        embed_dim: Dimension D of the joint space.
        temperature: Start value of the classifier's learned temperature. Names lie close together
            in the joint space: at .02 a cosine of .2 is a score of .996 in every cell at the start.
        score_combiner: Config of :class:`ScoreCombiner` with ``activation='sigmoid'``; None reports
            the detector alone.
        vlm_temperature: Temperature of the VLM score.
        vlm_roi_size: Bins per side of the RoIAlign.
        vlm_boxes: Boxes per image that the VLM scores: those of the highest class score times
            centerness. No others are reported.
        **kwargs: Those of mmdet's ``ATSSHead``; ``num_classes`` is decided here.

    Raises:
        ValueError: If the combiner does not take sigmoid scores, or ``vlm_boxes`` is no positive
            number.
    """

    def __init__(
        self,
        embed_dim: int,
        temperature: float = 0.07,
        score_combiner: dict | None = None,
        vlm_temperature: float = 0.01,
        vlm_roi_size: int = 7,
        vlm_boxes: int = 1000,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("num_classes", None)
        # mmdet's own would look for the convolution that the classifier replaces.
        kwargs.setdefault("init_cfg", dict(type="Normal", layer="Conv2d", std=0.01))
        self._classifier_options = dict(embed_dim=embed_dim, temperature=temperature)
        super().__init__(num_classes=1, **kwargs)
        self.init_vlm_score(score_combiner, vlm_temperature, vlm_roi_size)
        if self.combiner is not None and self.combiner.activation != "sigmoid":
            raise ValueError(
                f"OpenVocabularyATSSHead: its scores are sigmoids without background; set "
                f"score_combiner.activation='sigmoid', not {self.combiner.activation!r}"
            )
        if vlm_boxes < 1:
            raise ValueError(f"OpenVocabularyATSSHead: vlm_boxes must be positive, got {vlm_boxes}")
        self.vlm_boxes = vlm_boxes

    def _init_layers(self) -> None:
        super()._init_layers()
        self.atss_cls = DenseCosineClassifier(self.feat_channels, **self._classifier_options)

    @property
    def classifier(self) -> DenseCosineClassifier:
        """The cosine classifier, which knows the vocabulary."""
        return self.atss_cls

    def follow(self, source: OpenVocabulary, base_classes: Sequence[str]) -> None:
        """Takes over the vocabulary of the detector this head belongs to.

        Args:
            source: The detector.
            base_classes: Names the detector was trained on, for the combiner's weights.
        """
        self.classifier.follow(source)
        self.num_classes = self.cls_out_channels = source.num_vocabulary
        self.set_base_classes(base_classes)

    def predict(
        self, x: DenseFeatures, batch_data_samples: list, rescale: bool = False
    ) -> list[InstanceData]:
        """mmdet's predictions; with a combiner, fused scores of the best boxes.

        Args:
            x: Pyramid levels, with the tower's dense map beside them.
            batch_data_samples: One sample per image.
            rescale: Whether boxes are in pixels of the original image.

        Returns:
            Per image ``bboxes`` (n, 4), ``scores`` (n,), ``labels`` (n,), by falling score.
        """
        if self.combiner is None or getattr(x, "dense", None) is None:
            return super().predict(x, batch_data_samples, rescale=rescale)
        metas = [sample.metainfo for sample in batch_data_samples]
        found = self._best_boxes(*self(x), [meta["img_shape"] for meta in metas])
        boxes, logits, centerness = zip(*found, strict=True)
        vlm = self.vlm_logits(x, bbox2roi(list(boxes)))
        fused = self.combiner.probabilities(torch.cat(logits), vlm, self.vlm_weights())
        parts = zip(boxes, fused.split([len(b) for b in boxes]), centerness, metas, strict=True)
        return [self._chosen(*part, rescale) for part in parts]

    def _best_boxes(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        shapes: Sequence[tuple[int, int]],
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per image the boxes (n, 4), class logits (n, C) and centerness (n,) of the best cells."""
        grids = [level.shape[-2:] for level in cls_scores]
        priors = torch.cat(
            self.prior_generator.grid_priors(
                grids, dtype=cls_scores[0].dtype, device=cls_scores[0].device
            )
        )
        logits, deltas, centres = (
            torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
            for levels in (cls_scores, bbox_preds, centernesses)
        )
        centres = centres[..., 0].sigmoid()
        objectness = logits.amax(dim=-1).sigmoid() * centres
        best = objectness.topk(min(self.vlm_boxes, len(priors)), dim=1).indices
        return [
            (
                self.bbox_coder.decode(priors[rows], deltas[image, rows], max_shape=shapes[image]),
                logits[image, rows],
                centres[image, rows],
            )
            for image, rows in enumerate(best)
        ]

    def _chosen(
        self, boxes: Tensor, fused: Tensor, centerness: Tensor, meta: dict, rescale: bool
    ) -> InstanceData:
        """Pairs of box and class over the threshold, after NMS."""
        config = self.test_cfg
        scores, labels, _, rest = filter_scores_and_topk(
            fused,
            config.get("score_thr", 0),
            config.get("nms_pre", fused.numel()),
            dict(bboxes=boxes, score_factors=centerness),
        )
        return self._bbox_post_process(
            results=InstanceData(scores=scores, labels=labels, **rest),
            cfg=config,
            rescale=rescale,
            img_meta=meta,
        )
