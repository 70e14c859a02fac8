"""Datasets and transforms, registered in the scope ``react_mm``."""

from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.datasets.classification_set import ClassificationSetDataset
from react_mm.datasets.dense_pairs import DenseCachedPairDataset, DensePairDataset
from react_mm.datasets.pair_memory import PairMemory
from react_mm.datasets.pairs import PairDataset
from react_mm.datasets.reco_features import RecoFeatures
from react_mm.datasets.transforms import (
    RandomHorizontalFlip,
    RandomResizedCrop,
    ResizeCenterCrop,
    TimmAugment,
)
from react_mm.datasets.zero_shot import RetrievalDataset, ZeroShotDataset

__all__ = [
    "CachedPairDataset",
    "ClassificationSetDataset",
    "DenseCachedPairDataset",
    "DensePairDataset",
    "PairDataset",
    "PairMemory",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RecoFeatures",
    "ResizeCenterCrop",
    "RetrievalDataset",
    "TimmAugment",
    "ZeroShotDataset",
]
