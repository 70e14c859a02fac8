"""Metrics and test loops, registered in the scope ``react_mm``.

Those on mmdet's are imported by their configs.
"""

from react_mm.evaluation.gt_box import GTBoxAccuracy
from react_mm.evaluation.linear_probe_loop import LinearProbeLoop
from react_mm.evaluation.multi_label import BinaryAUC, MultiLabelPrecision
from react_mm.evaluation.retrieval_recall import RetrievalRecall
from react_mm.evaluation.segmentation import SegmentationIoU
from react_mm.evaluation.zero_shot import ZeroShotAccuracy

__all__ = [
    "BinaryAUC",
    "GTBoxAccuracy",
    "LinearProbeLoop",
    "MultiLabelPrecision",
    "RetrievalRecall",
    "SegmentationIoU",
    "ZeroShotAccuracy",
]
