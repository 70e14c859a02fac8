"""Dense one-stage heads of open-vocabulary detectors (needs mmdet)."""

from react_mm.models.dense_heads.open_vocabulary_atss_head import OpenVocabularyATSSHead

__all__ = ["OpenVocabularyATSSHead"]
