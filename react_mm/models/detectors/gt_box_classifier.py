"""Names of ground-truth boxes: what a tower knows when it need not find anything."""

import torch
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from react_mm.models.detectors.region_classifier import RegionClassifier
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.registry import MODELS


@MODELS.register_module()
class GTBoxClassifier(RegionClassifier):
    """Names each ground-truth box (RegionCLIP's GT protocol); see :class:`RegionClassifier`.

    Boxes are read from ``gt_instances``, so the test pipeline must load annotations before it
    resizes.
    """

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
                    "dict(type='LoadAnnotations', with_bbox=True) into the test pipeline"
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
