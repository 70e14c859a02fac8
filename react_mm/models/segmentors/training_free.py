"""Segmentation without training: the dense embedding against class embeddings."""

from typing import Any

from torch import Tensor

from react_mm.models.score_combiner import combine
from react_mm.models.segmentors.base import OpenVocabularySegmentor
from react_mm.registry import MODELS


@MODELS.register_module()
class TrainingFreeSegmentor(OpenVocabularySegmentor):
    """Names each pixel by the cosine of the dense embedding with the class embeddings.

    Which published method this is depends on the backbone's ``dense_mode`` and on the window
    (facts D2): MaskCLIP (arXiv 2112.01071), SCLIP (2312.01597), NACLIP (2404.08181), ClearCLIP
    (2407.12442). A class with synonyms takes the best of its names. Images of several sizes in one
    batch are taken apart.

    Args:
        backbone: Config of an image tower.
        class_embedder: Config of :class:`ClassEmbedder`.
        global_combiner: Config of :class:`ScoreCombiner` (kind ``arithmetic``) that adds the cosine
            of the whole image's pooled embedding to every pixel's: FreeDA's .2 is
            ``react_mm.models.score_combiner.PUBLISHED['freeda']``. None: pixels alone.
        base_classes: The classes that the combiner weighs by its ``base``; all others by ``novel``.
        **kwargs: Those of :class:`OpenVocabularySegmentor` (logit scale, background, refinement,
            windows).

    Raises:
        ValueError: If a setting is unknown; or the combiner is geometric: cosines may be negative.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        global_combiner: dict | None = None,
        base_classes: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, class_embedder, **kwargs)
        self.base_classes = tuple(base_classes)
        self.combiner = None if global_combiner is None else MODELS.build(global_combiner)
        if self.combiner is not None and self.combiner.kind != "arithmetic":
            raise ValueError(
                "global_combiner joins cosines, which may be negative: use kind='arithmetic' "
                f"(FreeDA), not {self.combiner.kind!r}"
            )

    def set_base_classes(self, names: tuple[str, ...]) -> None:
        """Names the classes that the global combiner weighs by its ``base``."""
        self.base_classes = tuple(names)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Dense embedding float (B, D, h, w) of images without padding."""
        return self.backbone.dense_embedding(inputs)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Cosines with every class, at the resolution of the input.

        Args:
            inputs: Normalised images, float (B, 3, H, W), without padding.
            batch_img_metas: Unused.

        Returns:
            Float (B, C, H, W).
        """
        dense = self.extract_feat(inputs)
        cosine = self.class_similarity(dense.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.upsampled(cosine, inputs)

    def with_whole_image(self, scores: Tensor, images: Tensor) -> Tensor:
        """Adds the whole image's cosines (FreeDA, arXiv 2404.06542: .8 local + .2 global)."""
        if self.combiner is None:
            return scores
        whole = self.class_similarity(self.backbone.encode_image(images))[:, :, None, None]
        weights = self.combiner.weights(self.vocabulary.names, self.base_classes).to(scores)
        return combine(scores, whole, weights[:, None, None], self.combiner.kind)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Refused: there is nothing to train."""
        raise NotImplementedError(
            f"{type(self).__name__} is training-free: use tools/test.py; react_mm.TrainedSegmentor "
            "has a head to train"
        )
