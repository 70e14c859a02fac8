"""Zero-shot classification of given boxes: what a tower knows without any detector."""

from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from react_mm.models.layers.region_crops import normalised, region_crops
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

MODES = ("roi", "crop")


class RegionClassifier(OpenVocabulary, BaseDetector):
    """Class probabilities of boxes by the cosine of their embedding and the class embeddings.

    Nothing is trained. ``roi`` pools boxes from the tower's map of the whole image
    (:meth:`react_mm.models.backbones.ImageTower.pool_regions`), as RegionCLIP does (arXiv
    2112.09106, section 4.1); ``crop`` cuts each box out of the image, resizes it to the tower's
    native size and embeds it alone, as R-CNN with CLIP (ViLD, 2104.13921, section 3.2). For crops
    the pipeline should not resize the image: it would be resampled twice.

    Args:
        backbone: Config of an image tower.
        class_embedder: Config of :class:`ClassEmbedder`.
        mode: ``roi`` or ``crop``.
        temperature: Probabilities are the softmax of cosine / temperature.
        roi_size: ``roi``: bins per side of the RoIAlign.
        crop_scale: ``crop``: factor of the box's sides, for context around it.
        crop_batch_size: ``crop``: crops embedded at once.
        data_preprocessor: mmdet's ``DetDataPreprocessor`` config, which gives RGB images.

    Raises:
        ValueError: If the mode is unknown or a number is not positive.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        mode: str = "roi",
        temperature: float = 0.01,
        roi_size: int = 7,
        crop_scale: float = 1.0,
        crop_batch_size: int = 64,
        data_preprocessor: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if mode not in MODES:
            raise ValueError(
                f"unknown mode {mode!r}{near_matches(mode, MODES)}; known: {', '.join(MODES)}"
            )
        numbers = dict(
            temperature=temperature,
            roi_size=roi_size,
            crop_scale=crop_scale,
            crop_batch_size=crop_batch_size,
        )
        for name, value in numbers.items():
            if value <= 0:
                raise ValueError(f"{type(self).__name__}: {name} must be positive, got {value}")
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        self.backbone = MODELS.build(backbone)
        self.init_vocabulary(class_embedder, self.backbone.embed_dim)
        self.mode, self.temperature, self.roi_size = mode, temperature, roi_size
        self.crop_scale, self.crop_batch_size = crop_scale, crop_batch_size

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """The map that regions are pooled from, float (B, C, h, w)."""
        return self.backbone.region_map(batch_inputs)

    def box_embeddings(self, images: Tensor, boxes: list[Tensor]) -> Tensor:
        """Embeddings of boxes in the joint space.

        Args:
            images: Normalised, float (B, 3, H, W), without padding.
            boxes: Per image, float (n, 4), x1 y1 x2 y2 in input pixels.

        Returns:
            Float (N, D), not normalised, image after image.
        """
        if self.mode == "roi":
            rois = bbox2roi(boxes)
            if not len(rois):
                return images.new_zeros(0, self.backbone.embed_dim)
            return self.backbone.pool_regions(self.extract_feat(images), rois, self.roi_size)
        preprocess = self.backbone.preprocess
        crops = torch.cat(
            [
                region_crops(
                    pixels, own, preprocess["size"], preprocess["interpolation"], self.crop_scale
                )
                for pixels, own in zip(self.pixels(images), boxes, strict=True)
            ]
        )
        if not len(crops):
            return images.new_zeros(0, self.backbone.embed_dim)
        chunks = crops.split(self.crop_batch_size)
        return torch.cat(
            [self.backbone.encode_image(normalised(c, preprocess, images)) for c in chunks]
        )

    def pixels(self, images: Tensor) -> list[np.ndarray]:
        """The RGB images, uint8 (H, W, 3), that the data preprocessor normalised."""
        values = images.float()
        if getattr(self.data_preprocessor, "mean", None) is not None:
            values = values * self.data_preprocessor.std + self.data_preprocessor.mean
        values = values.round().clamp(0, 255).to(torch.uint8)
        return list(values.permute(0, 2, 3, 1).cpu().numpy())

    def box_scores(self, images: Tensor, boxes: list[Tensor]) -> list[Tensor]:
        """Class probabilities of boxes.

        Args:
            images: As in :meth:`box_embeddings`.
            boxes: As in :meth:`box_embeddings`.

        Returns:
            Per image, float (n, C).
        """
        embeddings = self.box_embeddings(images, boxes)
        scores = (self.class_similarity(embeddings) / self.temperature).softmax(dim=-1)
        return list(scores.split([len(b) for b in boxes]))

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Refused: there is nothing to train."""
        raise NotImplementedError(f"{type(self).__name__} is training-free: use tools/test.py")

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None) -> Tensor:
        return self.extract_feat(batch_inputs)
