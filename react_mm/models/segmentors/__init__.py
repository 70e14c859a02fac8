"""Open-vocabulary segmentors (needs mmseg)."""

from react_mm.models.segmentors.base import OpenVocabularySegmentor
from react_mm.models.segmentors.data_preprocessor import MixedSizeSegDataPreProcessor
from react_mm.models.segmentors.proxy import ProxySegmentor
from react_mm.models.segmentors.trained import TrainedSegmentor
from react_mm.models.segmentors.training_free import TrainingFreeSegmentor

__all__ = [
    "MixedSizeSegDataPreProcessor",
    "OpenVocabularySegmentor",
    "ProxySegmentor",
    "TrainedSegmentor",
    "TrainingFreeSegmentor",
]
