"""Models. The mmdet and mmseg parts (detectors, segmentors, ...) are imported by their configs."""

from . import backbones, losses, open_vocabulary, text_encoders
from .clip import CLIP
from .layers import mask_refinement
from .lite import LiteImageTower
from .lite_text import LiteText
from .pair_preprocessor import PairDataPreprocessor
from .reco import RECO, MeanFusion, NeighbourFusion, NeighbourVotes

__all__ = [
    "CLIP",
    "RECO",
    "LiteImageTower",
    "LiteText",
    "MeanFusion",
    "NeighbourFusion",
    "NeighbourVotes",
    "PairDataPreprocessor",
    "backbones",
    "losses",
    "mask_refinement",
    "open_vocabulary",
    "text_encoders",
]
