"""Open-vocabulary segmentors (needs mmseg)."""

from react_mm.models.segmentors.data_preprocessor import MixedSizeSegDataPreProcessor
from react_mm.models.segmentors.training_free import TrainingFreeSegmentor

__all__ = ["MixedSizeSegDataPreProcessor", "TrainingFreeSegmentor"]
