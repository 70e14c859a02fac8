"""Decode heads whose classes are names (needs mmseg for their losses)."""

from react_mm.models.decode_heads.base import OpenVocabularyDecodeHead
from react_mm.models.decode_heads.cosine import CosineDecodeHead
from react_mm.models.decode_heads.cost_aggregation import CostAggregationHead

__all__ = ["CosineDecodeHead", "CostAggregationHead", "OpenVocabularyDecodeHead"]
