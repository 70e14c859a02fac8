"""A detector without training: given proposals, named by an image tower."""

from typing import Any

import torch
from mmdet.models.layers import multiclass_nms
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from react_mm.models.detectors.region_classifier import RegionClassifier
from react_mm.models.score_combiner import combine
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.registry import MODELS


@MODELS.register_module()
class ProposalClassifier(RegionClassifier):
    """Names given proposals (RegionCLIP's zero-shot protocol, arXiv 2112.09106, section 4.2).

    The score of a class is the geometric mean of its probability and the proposal's objectness,
    ``p^w * o^(1-w)``, at w = 1/2 their square root; boxes stay as they are; NMS runs within each
    class. Proposals are read from ``data_sample.proposals``, in input pixels, which
    :class:`react_mm.datasets.proposals.LoadProposals` puts there.

    Args:
        class_weight: w in [0, 1] of the class probability.
        score_thr: Detections below are dropped (RegionCLIP on LVIS: 1e-4).
        nms_iou: Of two detections of one class that overlap more, the better one stays.
        max_per_img: Detections kept per image (COCO 100, LVIS 300).
        **kwargs: Those of :class:`RegionClassifier`.

    Raises:
        ValueError: If the weight lies outside [0, 1].
    """

    def __init__(
        self,
        *args: Any,
        class_weight: float = 0.5,
        score_thr: float = 1e-4,
        nms_iou: float = 0.5,
        max_per_img: int = 100,
        **kwargs: Any,
    ) -> None:
        if not 0.0 <= class_weight <= 1.0:
            raise ValueError(f"class_weight must lie in [0, 1], got {class_weight}")
        super().__init__(*args, **kwargs)
        self.class_weight, self.score_thr = class_weight, score_thr
        self.nms_iou, self.max_per_img = nms_iou, max_per_img

    @torch.no_grad()
    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """Adds ``pred_instances``: ``bboxes`` float (n, 4), ``scores`` (n,), ``labels`` (n,).

        Raises:
            ValueError: If a sample carries no proposals.
        """
        for sample in batch_data_samples:
            if "proposals" not in sample:
                raise ValueError(
                    f"{sample.metainfo.get('img_path')}: no proposals; put "
                    "dict(type='react_mm.LoadProposals', proposal_file=...) into the test "
                    "pipeline, behind the resizing"
                )
        for rows, images in group_by_size(batch_inputs, image_sizes(batch_data_samples)):
            samples = [batch_data_samples[i] for i in rows]
            boxes = [get_box_tensor(s.proposals.bboxes).float() for s in samples]
            for sample, own, classes in zip(
                samples, boxes, self.box_scores(images, boxes), strict=True
            ):
                objectness = sample.proposals.scores.float()[:, None]
                scores = combine(objectness, classes, self.class_weight, "geometric")
                if rescale and "scale_factor" in sample.metainfo:
                    own = scale_boxes(own, [1 / s for s in sample.metainfo["scale_factor"]])
                sample.pred_instances = self._kept(own, scores)
        return batch_data_samples

    def _kept(self, boxes: Tensor, scores: Tensor) -> InstanceData:
        background = scores.new_zeros(len(scores), 1)
        nms = dict(type="nms", iou_threshold=self.nms_iou)
        found, labels = multiclass_nms(
            boxes, torch.cat([scores, background], dim=1), self.score_thr, nms, self.max_per_img
        )
        return InstanceData(bboxes=found[:, :4], scores=found[:, 4], labels=labels)
