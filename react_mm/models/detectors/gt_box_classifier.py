"""Zero-shot classification of given boxes: what a tower knows without any detector."""

from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures.bbox import bbox2roi, get_box_tensor, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from react_mm.models.layers.region_pooling import region_embeddings
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.registry import MODELS


@MODELS.register_module()
class GTBoxClassifier(OpenVocabulary, BaseDetector):
    """Names each ground-truth box by the dense embedding inside it (RegionCLIP's GT protocol).

    RoIAlign of the dense embedding at the box, mean, cosine to the class embeddings. Nothing is
    trained. Boxes are read from ``gt_instances``, so the test pipeline must load annotations
    before it resizes.

    Args:
        backbone: Config of an image tower.
        class_embedder: Config of :class:`ClassEmbedder`.
        temperature: Scores are the softmax of cosine / temperature.
        roi_size: Bins per side of the RoIAlign.
        data_preprocessor: mmdet's ``DetDataPreprocessor`` config.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        temperature: float = 0.01,
        roi_size: int = 7,
        data_preprocessor: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        self.backbone = MODELS.build(backbone)
        self.init_vocabulary(class_embedder, self.backbone.embed_dim)
        self.temperature = temperature
        self.roi_size = roi_size

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """Dense embedding float (B, D, h, w)."""
        return self.backbone.dense_embedding(batch_inputs)

    def box_scores(self, images: Tensor, boxes: list[Tensor]) -> list[Tensor]:
        """Scores of boxes.

        Args:
            images: Normalised, float (B, 3, H, W), without padding.
            boxes: Per image, float (n, 4), x1 y1 x2 y2 in input pixels.

        Returns:
            Per image, softmax scores float (n, C).
        """
        rois = bbox2roi(boxes)
        if not len(rois):
            return [b.new_zeros(0, self.num_vocabulary) for b in boxes]
        embeddings = region_embeddings(
            self.extract_feat(images), rois, self.backbone.stride, self.roi_size
        )
        scores = (self.class_similarity(embeddings) / self.temperature).softmax(dim=-1)
        return list(scores.split([len(b) for b in boxes]))

    @torch.no_grad()
    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """Adds ``pred_instances`` with one entry per ground-truth box, in the same order.

        Raises:
            ValueError: If a sample carries no ground-truth boxes.
        """
        for sample in batch_data_samples:
            if "gt_instances" not in sample or "bboxes" not in sample.gt_instances:
                raise ValueError(
                    f"{sample.metainfo.get('img_path')}: no ground-truth boxes; put "
                    "LoadAnnotations(with_bbox=True) before Resize in the test pipeline"
                )
        for rows, images in group_by_size(batch_inputs, image_sizes(batch_data_samples)):
            samples = [batch_data_samples[i] for i in rows]
            boxes = [get_box_tensor(s.gt_instances.bboxes).float() for s in samples]
            for sample, own, scores in zip(
                samples, boxes, self.box_scores(images, boxes), strict=True
            ):
                if rescale and "scale_factor" in sample.metainfo:
                    own = scale_boxes(own, [1 / s for s in sample.metainfo["scale_factor"]])
                best = (
                    scores.max(dim=-1) if len(own) else (own.new_zeros(0), own.new_zeros(0).long())
                )
                sample.pred_instances = InstanceData(bboxes=own, scores=best[0], labels=best[1])
        return batch_data_samples

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Refused: there is nothing to train."""
        raise NotImplementedError("GTBoxClassifier is training-free: use tools/test.py")

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> Tensor:
        return self.extract_feat(batch_inputs)
