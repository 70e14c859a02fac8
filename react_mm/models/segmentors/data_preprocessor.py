"""Batches of images of several sizes at test time."""

from typing import Any

import torch.nn.functional as F
from mmseg.models.data_preprocessor import SegDataPreProcessor
from torch import Tensor

from react_mm.registry import MODELS


@MODELS.register_module()
class MixedSizeSegDataPreProcessor(SegDataPreProcessor):
    """mmseg's preprocessor, which pads test images of several sizes instead of refusing them.

    Images are padded on the right and at the bottom; ``img_shape`` in the meta data keeps the
    valid size, by which the segmentor takes the batch apart again.

    Args:
        size_divisor: Training images are padded to the largest of their batch and to a multiple of
            this, unless ``size`` is given.
        **kwargs: Those of mmseg's ``SegDataPreProcessor``.
    """

    def __init__(self, size_divisor: int | None = 1, **kwargs: Any) -> None:
        super().__init__(size_divisor=None if kwargs.get("size") else size_divisor, **kwargs)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalises and stacks; see mmseg.

        Returns:
            ``inputs`` float (B, 3, H, W) and ``data_samples``.
        """
        if not training and isinstance(data["inputs"], list | tuple):
            sizes = [tuple(image.shape[-2:]) for image in data["inputs"]]
            for sample, size in zip(data.get("data_samples") or [], sizes, strict=False):
                sample.set_metainfo(dict(img_shape=size))
            if len(set(sizes)) > 1:
                height, width = (max(s[i] for s in sizes) for i in (0, 1))
                data = {
                    **data,
                    "inputs": [_pad(image, height, width) for image in data["inputs"]],
                }
        return super().forward(data, training)


def _pad(image: Tensor, height: int, width: int) -> Tensor:
    return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
