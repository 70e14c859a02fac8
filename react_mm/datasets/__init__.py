"""Datasets and transforms, registered in the scope ``react_mm``."""

from react_mm.datasets.pairs import PairDataset
from react_mm.datasets.transforms import (
    RandomHorizontalFlip,
    RandomResizedCrop,
    ResizeCenterCrop,
    TimmAugment,
)
from react_mm.datasets.zero_shot import RetrievalDataset, ZeroShotDataset

__all__ = [
    "PairDataset",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "ResizeCenterCrop",
    "RetrievalDataset",
    "TimmAugment",
    "ZeroShotDataset",
]
