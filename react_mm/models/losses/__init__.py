"""Losses."""

from .contrastive import InfoNCE, LabelAwareInfoNCE
from .hard_negative_margin import HardNegativeMargin
from .teacher import FrozenTeacher, teacher_loss

__all__ = ["FrozenTeacher", "HardNegativeMargin", "InfoNCE", "LabelAwareInfoNCE", "teacher_loss"]
