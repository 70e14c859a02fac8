"""Region heads of open-vocabulary detectors (needs mmdet)."""

from react_mm.models.roi_heads.open_vocabulary_bbox_head import OpenVocabularyBBoxHead
from react_mm.models.roi_heads.open_vocabulary_roi_head import OpenVocabularyRoIHead

__all__ = ["OpenVocabularyBBoxHead", "OpenVocabularyRoIHead"]
