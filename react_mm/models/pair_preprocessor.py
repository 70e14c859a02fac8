"""From the bytes of a batch of pairs to normalised images on the device."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor

from react_mm.registry import MODELS


@MODELS.register_module()
class PairDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device and turns uint8 images into normalised floats there.

    Args:
        mean: Per-channel mean, RGB, images scaled to 0..1.
        std: Per-channel standard deviation.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalises ``data['inputs']``, uint8 (B, 3, H, W), to float32; the rest passes."""
        data = dict(self.cast_data(data))
        if data["inputs"].dtype == torch.uint8:
            data["inputs"] = (data["inputs"].float() / 255 - self.mean) / self.std
        return data
