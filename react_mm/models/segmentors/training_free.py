"""Segmentation without training: the dense embedding against class embeddings."""

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.prompts import Vocabulary
from react_mm.registry import MODELS


@MODELS.register_module()
class TrainingFreeSegmentor(OpenVocabulary, BaseSegmentor):
    """Names each pixel by the cosine of the dense embedding with the class embeddings.

    Which published method this is depends on the backbone's ``dense_mode`` and on the window
    (facts D2): MaskCLIP (arXiv 2112.01071), SCLIP (2312.01597), NACLIP (2404.08181), ClearCLIP
    (2407.12442). A class with synonyms takes the best of its names. Images of several sizes in one
    batch are taken apart.

    Args:
        backbone: Config of an image tower.
        class_embedder: Config of :class:`ClassEmbedder`.
        logit_scale: Scores are the softmax of ``logit_scale`` times cosine.
        background: How the class named ``background`` is found. None: by its name, as any class.
            ``dict(threshold=t)``: where no other class reaches probability t.
            ``dict(names=[...])``: where one of these names is the best.
        test_cfg: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))``.
        train_cfg: Ignored; mmseg's bases carry one.
        data_preprocessor: Config; :class:`MixedSizeSegDataPreProcessor` takes several sizes.

    Raises:
        ValueError: If ``background`` is none of the above.
    """

    background_name = "background"
    slide_inference = EncoderDecoder.slide_inference
    whole_inference = EncoderDecoder.whole_inference
    inference = EncoderDecoder.inference

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        logit_scale: float = 100.0,
        background: dict | None = None,
        test_cfg: dict | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if background is not None and set(background) not in ({"threshold"}, {"names"}):
            raise ValueError(
                f"background must be None, dict(threshold=t) or dict(names=[...]), got {background}"
            )
        self.backbone = MODELS.build(backbone)
        self.init_vocabulary(class_embedder, self.backbone.embed_dim)
        self.logit_scale = logit_scale
        self.background = background or {}
        self.test_cfg = ConfigDict(test_cfg or dict(mode="whole"))
        self.align_corners = False

    def set_vocabulary(
        self,
        names: Vocabulary | Sequence[str],
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Replaces the classes; see :meth:`OpenVocabulary.set_vocabulary`.

        Raises:
            ValueError: If a background setting is given and no class is named ``background``.
        """
        vocabulary = Vocabulary.of(names, synonyms)
        if self.background and self.background_name not in vocabulary.names:
            raise ValueError(
                f"background={dict(self.background)} needs a class named "
                f"{self.background_name!r}; the classes are {list(vocabulary.names)[:5]}..."
            )
        if "names" in self.background:
            more = {**vocabulary.synonyms, self.background_name: tuple(self.background["names"])}
            vocabulary = Vocabulary(vocabulary.names, more)
        super().set_vocabulary(vocabulary)

    @property
    def out_channels(self) -> int:
        """Channels of the logits: the classes."""
        return self.num_vocabulary

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
        stride = self.backbone.stride
        # The cells cover the input rounded up to whole cells; what exceeds it is cut off.
        size = (cosine.shape[-2] * stride, cosine.shape[-1] * stride)
        cosine = F.interpolate(cosine, size, mode="bilinear", align_corners=False)
        return cosine[..., : inputs.shape[-2], : inputs.shape[-1]]

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Segments images.

        Args:
            inputs: Normalised images, float (B, 3, H, W), padded on the right and below.
            data_samples: One sample per image; ``img_shape`` is its valid size.

        Returns:
            The samples with ``pred_sem_seg`` (1, h, w) and ``seg_logits`` (C, h, w; probabilities)
            at the original size, in the order given.
        """
        if data_samples is None:
            shape = tuple(inputs.shape[-2:])
            meta = dict(img_shape=shape, ori_shape=shape)
            data_samples = [SegDataSample(metainfo=meta) for _ in inputs]
        for rows, images in group_by_size(inputs, image_sizes(data_samples)):
            # A copy: sliding windows write their own size into the first meta.
            metas = [copy.deepcopy(data_samples[i].metainfo) for i in rows]
            for i, cosine in zip(rows, self.inference(images, metas), strict=True):
                self._write(data_samples[i], cosine)
        return data_samples

    def _write(self, sample: SegDataSample, cosine: Tensor) -> None:
        """Turns cosines (C, h, w) into the sample's probabilities and labels."""
        meta = sample.metainfo
        if meta.get("flip"):
            cosine = cosine.flip(-1 if meta["flip_direction"] == "horizontal" else -2)
        size = tuple(meta["ori_shape"][:2])
        if size != tuple(cosine.shape[-2:]):
            cosine = F.interpolate(cosine[None], size, mode="bilinear", align_corners=False)[0]
        scores = self.probabilities(cosine)
        sample.seg_logits = PixelData(data=scores)
        sample.pred_sem_seg = PixelData(data=scores.argmax(dim=0, keepdim=True))

    def probabilities(self, cosine: Tensor) -> Tensor:
        """Class probabilities from cosines.

        Args:
            cosine: Float (C, h, w).

        Returns:
            Float (C, h, w). With a background threshold t the other classes sum to 1 and the
            background has t everywhere, so that it wins where none of them exceeds t.
        """
        logits = cosine * self.logit_scale
        if "threshold" not in self.background:
            return logits.softmax(dim=0)
        row = self.vocabulary.names.index(self.background_name)
        logits[row] = -torch.inf
        scores = logits.softmax(dim=0)
        scores[row] = self.background["threshold"]
        return scores

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Refused: there is nothing to train."""
        raise NotImplementedError("TrainingFreeSegmentor is training-free: use tools/test.py")

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        return self.encode_decode(inputs, [])
