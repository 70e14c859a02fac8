"""Models. The mmdet and mmseg parts (detectors, segmentors, ...) are imported by their configs."""

from . import backbones, losses, open_vocabulary, text_encoders
from .clip import CLIP, PairDataPreprocessor

__all__ = [
    "CLIP",
    "PairDataPreprocessor",
    "backbones",
    "losses",
    "open_vocabulary",
    "text_encoders",
]
