"""Losses."""

from .contrastive import InfoNCE
from .teacher import FrozenTeacher, teacher_loss

__all__ = ["FrozenTeacher", "InfoNCE", "teacher_loss"]
