"""Segmentation with a trained head whose classes are names."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.losses import accuracy
from torch import Tensor

import react_mm.models.decode_heads  # noqa: F401  (registers the heads)
from react_mm.models.segmentors.base import OpenVocabularySegmentor
from react_mm.models.size_groups import image_sizes
from react_mm.registry import MODELS


@MODELS.register_module()
class TrainedSegmentor(OpenVocabularySegmentor):
    """A decode head on the tower's dense embedding, trained on seen classes, tested on any.

    The class embeddings are no weights of the head, so every checkpoint runs under every
    vocabulary. Beside the head's probabilities those of the tower alone can count, with a weight
    for seen and one for unseen classes (FC-CLIP, arXiv 2308.02487, section 3.3).

    Args:
        backbone: Config of an image tower; frozen, or with ``frozen='except-gates'``.
        class_embedder: Config of :class:`ClassEmbedder`.
        decode_head: Config of a head of :mod:`react_mm.models.decode_heads`.
        score_combiner: Config of :class:`ScoreCombiner`: weights of the tower's own scores for
            seen (``base``) and unseen (``novel``) classes at test time. None: the head alone.
        tower_scale: The tower's own probabilities are the softmax of this times cosine.
        base_classes: The seen classes, where the data set does not name them.
        ignore_index: Label of pixels that do not count.
        **kwargs: Those of :class:`OpenVocabularySegmentor`, without ``logit_scale``.

    Raises:
        ValueError: If a setting is unknown, or the head is of another dimension than the tower.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        decode_head: dict,
        score_combiner: dict | None = None,
        tower_scale: float = 50.0,
        base_classes: Sequence[str] = (),
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, class_embedder, logit_scale=1.0, **kwargs)
        self.decode_head = MODELS.build(decode_head)
        if self.decode_head.embed_dim != self.backbone.embed_dim:
            raise ValueError(
                f"decode_head.embed_dim is {self.decode_head.embed_dim}, the tower's joint space "
                f"has {self.backbone.embed_dim} dimensions"
            )
        self.score_combiner = None if score_combiner is None else MODELS.build(score_combiner)
        self.tower_scale, self.ignore_index = tower_scale, ignore_index
        self.base_classes = tuple(base_classes)

    def set_base_classes(self, names: Sequence[str]) -> None:
        """Names the classes seen in training; all others take the combiner's ``novel`` weight."""
        self.base_classes = tuple(names)

    def extract_feat(
        self, inputs: Tensor, sizes: Sequence[tuple[int, int]] | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Taps, tuple of float (B, C, h, w), and dense embedding, float (B, D, h, w)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.backbone.frozen):
            if getattr(self.backbone, "region_part", "dense") == "dense":
                return self.backbone.taps_and_dense(inputs, sizes)
            out = self.backbone.forward_all(inputs, sizes)
        return out["taps"], out["dense"]

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits at the resolution of the input, float (B, C, H, W).

        With a score combiner they are the logarithms of the fused scores.

        Args:
            inputs: Normalised images, float (B, 3, H, W), without padding.
            batch_img_metas: Unused.
        """
        taps, dense = self.extract_feat(inputs)
        logits = self.upsampled(self.decode_head(dense, taps, self.class_similarity), inputs)
        if self.score_combiner is None:
            return logits
        cosine = self.class_similarity(dense.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        tower = self.upsampled(cosine, inputs) * self.tower_scale
        weights = self.score_combiner.weights(self.vocabulary.names, self.base_classes)
        fused = self.score_combiner.log_combined(
            logits.log_softmax(dim=1).movedim(1, -1), tower.movedim(1, -1), weights.to(logits)
        )
        return fused.movedim(-1, 1)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of the head.

        Args:
            inputs: Normalised images, float (B, 3, H, W), padded on the right and below.
            data_samples: With ``gt_sem_seg`` (1, H, W); padding and unseen classes are
                ``ignore_index``.

        Returns:
            The losses of ``decode_head``, and ``acc_seg``, the per cent of right pixels.

        Raises:
            ValueError: If a label lies outside the vocabulary.
        """
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples]).long()
        counted = labels[labels != self.ignore_index]
        if counted.numel() and int(counted.max()) >= self.num_vocabulary:
            raise ValueError(
                f"label {int(counted.max())} lies outside the {self.num_vocabulary} classes of the "
                "vocabulary: are the classes of the data set those of VocabularyHook?"
            )
        taps, dense = self.extract_feat(inputs, image_sizes(data_samples))
        logits = self.upsampled(self.decode_head(dense, taps, self.class_similarity), inputs)
        logits = F.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=False)
        losses = self.decode_head.loss(logits, labels, self.ignore_index)
        found = accuracy(logits, labels, ignore_index=self.ignore_index)
        return {**losses, "acc_seg": found if isinstance(found, Tensor) else found[0]}
