"""Losses."""

from .contrastive import InfoNCE, LabelAwareInfoNCE
from .distance_to_start import L2ToStart
from .hard_negative_margin import HardNegativeMargin
from .region_distillation import RegionDistillation
from .teacher import FrozenTeacher, teacher_loss

__all__ = [
    "FrozenTeacher",
    "HardNegativeMargin",
    "InfoNCE",
    "L2ToStart",
    "LabelAwareInfoNCE",
    "RegionDistillation",
    "teacher_loss",
]
