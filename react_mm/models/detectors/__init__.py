"""Open-vocabulary detectors (needs mmdet)."""

from react_mm.models import assigners, dense_heads, necks, roi_heads
from react_mm.models.detectors.gt_box_classifier import GTBoxClassifier
from react_mm.models.detectors.open_vocabulary_atss import OpenVocabularyATSS
from react_mm.models.detectors.open_vocabulary_rcnn import (
    OpenVocabularyMaskRCNN,
    OpenVocabularyRCNN,
)
from react_mm.models.detectors.proposal_classifier import ProposalClassifier

__all__ = [
    "GTBoxClassifier",
    "OpenVocabularyATSS",
    "OpenVocabularyMaskRCNN",
    "OpenVocabularyRCNN",
    "ProposalClassifier",
    "assigners",
    "dense_heads",
    "necks",
    "roi_heads",
]
