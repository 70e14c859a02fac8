"""Segmentation without training: the dense embedding against class embeddings."""

from typing import Any

from torch import Tensor

from react_mm.models.layers.dense_remedies import check_remedies, dense_at
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
        layer: Block in whose place the dense mode's form runs; the blocks behind it are left out.
            -1: the last one. Large towers may say more at an earlier one: see
            ``tools/diagnose_dense.py``.
        outlier_ratio: Patch tokens that enter that block with a norm above this many medians of
            their image are replaced by the mean of their neighbours; None: none are.
        base_classes: The classes that the combiner weighs by its ``base``; all others by ``novel``.
        **kwargs: Those of :class:`OpenVocabularySegmentor` (logit scale, background, refinement,
            windows).

    Raises:
        ValueError: If a setting is unknown; the combiner is geometric, where cosines may be
            negative; or a remedy is asked for on a tower other than :class:`CLIPViT`.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        global_combiner: dict | None = None,
        layer: int = -1,
        outlier_ratio: float | None = None,
        base_classes: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, class_embedder, **kwargs)
        self.layer, self.outlier_ratio = layer, outlier_ratio
        if layer != -1 or outlier_ratio is not None:
            check_remedies(self.backbone, layer, outlier_ratio)
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
        if self.layer == -1 and self.outlier_ratio is None:
            return self.backbone.dense_embedding(inputs)
        return dense_at(self.backbone, inputs, self.layer, self.outlier_ratio)

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
