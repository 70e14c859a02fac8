"""Losses."""

from .contrastive import InfoNCE, teacher_loss

__all__ = ["InfoNCE", "teacher_loss"]
