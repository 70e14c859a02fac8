"""Models. The mmdet and mmseg parts (detectors, segmentors, ...) are imported by their configs."""

from . import backbones, losses, open_vocabulary, text_encoders
from .clip import CLIP, PairDataPreprocessor
from .lite import LiteImageTower
from .lite_text import LiteText

__all__ = [
    "CLIP",
    "LiteImageTower",
    "LiteText",
    "PairDataPreprocessor",
    "backbones",
    "losses",
    "open_vocabulary",
    "text_encoders",
]
