"""Open-vocabulary detectors (needs mmdet)."""

from react_mm.models import necks, roi_heads
from react_mm.models.detectors.gt_box_classifier import GTBoxClassifier
from react_mm.models.detectors.open_vocabulary_rcnn import OpenVocabularyRCNN

__all__ = ["GTBoxClassifier", "OpenVocabularyRCNN", "necks", "roi_heads"]
