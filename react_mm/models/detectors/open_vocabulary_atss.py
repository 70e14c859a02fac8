"""A dense one-stage detector with classes by name, for speed."""

from mmdet.models.detectors import ATSS

from react_mm.models.detectors.open_vocabulary_detector import OpenVocabularyDetector
from react_mm.registry import MODELS


@MODELS.register_module()
class OpenVocabularyATSS(OpenVocabularyDetector, ATSS):
    """ATSS (arXiv 1912.02424) with classes by name on a frozen, plain or customized tower.

    Its head is :class:`react_mm.OpenVocabularyATSSHead`; arguments are those of
    :class:`OpenVocabularyDetector` and of mmdet's ``ATSS``.
    """
