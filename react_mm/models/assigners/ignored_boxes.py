"""mmdet's assigners, which do not teach ignored objects as background.

In a base-only training file a novel object is background to the detector (F-VLM and F-ViT train so,
facts D1b). A data set may hand its box over as ignored instead (``ignored_instances`` of a sample);
what lies on it then has no say in any loss.
"""

from typing import Any

from mmdet.models.task_modules.assigners import AssignResult, ATSSAssigner, MaxIoUAssigner
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmengine.structures import InstanceData

from react_mm.registry import TASK_UTILS

IGNORED = -1


def leave_out(
    result: AssignResult,
    priors: InstanceData,
    ignored: InstanceData | None,
    threshold: float,
) -> AssignResult:
    """Takes background regions on ignored boxes out of an assignment.

    mmdet's own rule also takes foreground regions out (a person on an ignored couch would no longer
    be taught) and keeps all background where an image has no other box; here foreground stays, and
    the rule holds in every image.

    Args:
        result: Of an assigner that knew nothing of ignored boxes; changed in place.
        priors: ``priors`` (N, 4): anchors or proposals.
        ignored: ``bboxes`` (M, 4), or None.
        threshold: A region is left out when more than this part of its area lies on one ignored
            box; not positive: none is.

    Returns:
        ``result``.
    """
    if threshold <= 0 or ignored is None or not len(ignored.bboxes) or not len(priors.priors):
        return result
    boxes, areas = get_box_tensor(priors.priors)[:, :4], get_box_tensor(ignored.bboxes)
    covered = bbox_overlaps(boxes, areas.to(boxes), mode="iof").amax(dim=1)
    result.gt_inds[(result.gt_inds == 0) & (covered > threshold)] = IGNORED
    return result


@TASK_UTILS.register_module()
class IgnoringMaxIoUAssigner(MaxIoUAssigner):
    """mmdet's ``MaxIoUAssigner``; background on ignored boxes is left out (:func:`leave_out`).

    Args:
        ignore_iof_thr: The threshold there; -1 teaches ignored objects as background.
        **kwargs: Those of mmdet's ``MaxIoUAssigner``.
    """

    def __init__(self, *args: Any, ignore_iof_thr: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, ignore_iof_thr=ignore_iof_thr, **kwargs)

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Assigns each prior (N, 4) to a box (index + 1), to background (0) or to nothing (-1)."""
        result = super().assign(pred_instances, gt_instances, None, **kwargs)
        return leave_out(result, pred_instances, gt_instances_ignore, self.ignore_iof_thr)


@TASK_UTILS.register_module()
class IgnoringATSSAssigner(ATSSAssigner):
    """mmdet's ``ATSSAssigner``; background on ignored boxes is left out (:func:`leave_out`).

    Args:
        ignore_iof_thr: The threshold there; -1 teaches ignored objects as background.
        **kwargs: Those of mmdet's ``ATSSAssigner``.
    """

    def __init__(self, *args: Any, ignore_iof_thr: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, ignore_iof_thr=ignore_iof_thr, **kwargs)

    def assign(
        self,
        pred_instances: InstanceData,
        num_level_priors: list[int],
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assigns each prior (N, 4) to a box (index + 1), to background (0) or to nothing (-1)."""
        result = super().assign(pred_instances, num_level_priors, gt_instances, None)
        return leave_out(result, pred_instances, gt_instances_ignore, self.ignore_iof_thr)
