"""What all open-vocabulary detectors share: tower, vocabulary, batches without padding."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.models.vlm_score import DenseFeatures
from react_mm.prompts import Vocabulary


class OpenVocabularyDetector(OpenVocabulary):
    """Mixin in front of one of mmdet's detectors: classes by name (F-VLM, arXiv 2209.15639).

    The tower is shared by the box branch (its taps) and the VLM score (its dense map). The classes
    are those of the present vocabulary: the base classes while training, any at test time.

    Args:
        class_embedder: Config of :class:`ClassEmbedder`.
        base_classes: Names of the classes trained on, for the score combiner's weights. Usually
            left to ``set_base_classes``, which the vocabulary hook calls with the data set's.
        **kwargs: Those of mmdet's detector.
    """

    def __init__(
        self, class_embedder: dict, base_classes: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.init_vocabulary(class_embedder, self.backbone.embed_dim)
        self.base_classes = tuple(base_classes)
        self._sizes: list[tuple[int, int]] | None = None

    @property
    def named_head(self) -> nn.Module:
        """The head whose classes have names; it has ``follow(detector, base_classes)``."""
        return self.roi_head if hasattr(self, "roi_head") else self.bbox_head

    def set_vocabulary(
        self,
        names: Vocabulary | Sequence[str],
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Replaces the classes; see :meth:`OpenVocabulary.set_vocabulary`."""
        super().set_vocabulary(names, synonyms)
        self.named_head.follow(self, self.base_classes)

    def set_base_classes(self, names: Sequence[str]) -> None:
        """Says which classes the detector was trained on; all others count as novel."""
        self.base_classes = tuple(names)
        if self.vocabulary is not None:
            self.named_head.follow(self, self.base_classes)

    def extract_feat(self, batch_inputs: Tensor) -> DenseFeatures:
        """Pyramid levels, and at test time the tower's dense map beside them.

        Args:
            batch_inputs: Normalised images, float (B, 3, H, W).
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.backbone.frozen):
            if self.training or self.named_head.combiner is None:
                taps, dense = self.backbone(batch_inputs, self._sizes), None
            else:
                taps, dense = self.backbone.taps_and_dense(batch_inputs, self._sizes)
        return DenseFeatures(self.neck(taps), dense, self.backbone)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """mmdet's losses; padding is hidden from the tower.

        Raises:
            RuntimeError: If no vocabulary has been set.
        """
        if self.vocabulary is None:
            raise RuntimeError("no vocabulary: add VocabularyHook or call set_vocabulary(names)")
        self._sizes = image_sizes(batch_data_samples)
        try:
            return super().loss(batch_inputs, batch_data_samples)
        finally:
            self._sizes = None

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        """mmdet's predictions, image sizes apart: a padded batch gives what its images give alone.

        Args:
            batch_inputs: Normalised images, float (B, 3, H, W), padded on the right and below.
            batch_data_samples: One sample per image; ``img_shape`` is its valid size.
            rescale: Whether boxes are in pixels of the original image.

        Returns:
            The samples with ``pred_instances``, in the order given.
        """
        for rows, images in group_by_size(batch_inputs, image_sizes(batch_data_samples)):
            super().predict(images, [batch_data_samples[i] for i in rows], rescale=rescale)
        return batch_data_samples
