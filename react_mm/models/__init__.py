"""Models. The mmdet and mmseg parts (detectors, segmentors, ...) are imported by their configs."""

from . import backbones, losses, open_vocabulary, text_encoders
from .clip import CLIP
from .lite import LiteImageTower
from .lite_text import LiteText
from .pair_preprocessor import PairDataPreprocessor

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
