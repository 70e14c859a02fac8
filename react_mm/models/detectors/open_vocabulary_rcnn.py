"""Faster and Mask R-CNN of the F-VLM type on a frozen, plain or customized tower."""

from mmdet.models.detectors import FasterRCNN, MaskRCNN

from react_mm.models.detectors.open_vocabulary_detector import OpenVocabularyDetector
from react_mm.registry import MODELS


@MODELS.register_module()
class OpenVocabularyRCNN(OpenVocabularyDetector, FasterRCNN):
    """Faster R-CNN with classes by name (F-VLM, arXiv 2209.15639).

    Its region head is :class:`react_mm.OpenVocabularyRoIHead`; arguments are those of
    :class:`OpenVocabularyDetector` and of mmdet's ``FasterRCNN``.
    """


@MODELS.register_module()
class OpenVocabularyMaskRCNN(OpenVocabularyDetector, MaskRCNN):
    """Mask R-CNN with classes by name; masks are class-agnostic, as the boxes are.

    Its region head is :class:`react_mm.OpenVocabularyRoIHead` with a ``mask_head``; arguments are
    those of :class:`OpenVocabularyDetector` and of mmdet's ``MaskRCNN``.
    """
