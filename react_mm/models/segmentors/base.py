"""What segmentors whose classes are names share: batches, windows, background, refinement."""

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from react_mm.models.layers.pixel_scores import drop_classes, with_background
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.size_groups import group_by_size, image_sizes
from react_mm.prompts import Vocabulary
from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

BACKGROUND_KEYS = {"threshold", "names", "competes"}
PRUNING = ("min_area", "min_peak")


class OpenVocabularySegmentor(OpenVocabulary, BaseSegmentor):
    """Scores of every pixel for every named class; a child says where they come from.

    Images of several sizes in one batch are taken apart, so a padded batch of two is two of one.

    Args:
        backbone: Config of an image tower.
        class_embedder: Config of :class:`ClassEmbedder`.
        logit_scale: Probabilities are the softmax of ``logit_scale`` times the scores.
        background: How the class named ``background`` is found. None: by its name, as any class.
            ``dict(threshold=t)``: where no other class reaches probability t.
            ``dict(names=[...])``: where one of these names is the best. With ``names``, or
            ``competes=True`` (the names are the synonyms that the class list gives it), beside a
            threshold: where one of the names is the best or no class reaches the threshold.
        refinement: Config of :class:`PixelAdaptiveRefinement`, which draws the probabilities along
            the picture's colours; None: none.
        prune: Classes to leave out of an image: ``dict(min_area=a)``, those that win at most the
            share a of the pixels that are no background (SCLIP takes .1 on VOC21);
            ``dict(min_peak=p)``, those that reach probability p nowhere (MaskCLIP's prompt
            denoising takes .5). The likeliest class always stays.
        test_cfg: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=(h, w), stride=(h, w))``;
            windows are averaged where they overlap.
        train_cfg: Ignored; mmseg's bases carry one.
        data_preprocessor: Config; :class:`MixedSizeSegDataPreProcessor` takes several sizes.

    Raises:
        ValueError: If ``background``, ``prune`` or the windows are none of the above.
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
        refinement: dict | None = None,
        prune: dict | None = None,
        test_cfg: dict | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        given = set(background or {"names"})
        if given - BACKGROUND_KEYS or not given & {"threshold", "names"}:
            raise ValueError(
                "background must be None, dict(threshold=t), dict(names=[...]) or both (or "
                f"dict(threshold=t, competes=True)), got {background}"
            )
        unknown = [key for key in prune or () if key not in PRUNING]
        if unknown:
            raise ValueError(f"prune has no {unknown[0]!r}{near_matches(unknown[0], PRUNING)}")
        self.backbone = MODELS.build(backbone)
        self.init_vocabulary(class_embedder, self.backbone.embed_dim)
        self.logit_scale = logit_scale
        self.background = background or {}
        self.prune = {key: value for key, value in (prune or {}).items() if value}
        self.refinement = None if refinement is None else MODELS.build(refinement)
        self.test_cfg = _checked_windows(ConfigDict(test_cfg or dict(mode="whole")))
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
        """Channels of the scores: the classes."""
        return self.num_vocabulary

    def upsampled(self, cells: Tensor, inputs: Tensor) -> Tensor:
        """A map of cells at the resolution of the input.

        The cells cover the input rounded up to whole cells of the backbone; what exceeds it is cut
        off, so that nothing is squeezed.

        Args:
            cells: Float (B, C, h, w).
            inputs: The images it comes from, (B, 3, H, W).

        Returns:
            Float (B, C, H, W).
        """
        size = padded_extent(inputs.shape[-2:], self.backbone.stride)
        cells = F.interpolate(cells, size, mode="bilinear", align_corners=False)
        return cells[..., : inputs.shape[-2], : inputs.shape[-1]]

    def with_whole_image(self, scores: Tensor, images: Tensor) -> Tensor:
        """Lets what the whole image shows change the scores of its pixels; here nothing.

        Args:
            scores: Float (B, C, H, W), windows already averaged.
            images: Normalised, float (B, 3, H, W), without padding.
        """
        return scores

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
            scores = self.with_whole_image(self.inference(images, metas), images)
            for i, own, image in zip(rows, scores, images, strict=True):
                self._write(data_samples[i], own, image)
        return data_samples

    def _write(self, sample: SegDataSample, scores: Tensor, image: Tensor) -> None:
        """Turns scores (C, h, w) of an image (3, h, w) into the sample's probabilities, labels."""
        meta = sample.metainfo
        if self.refinement is None:
            found = self.class_probabilities(_placed(scores, meta))
        else:
            found = self.class_probabilities(scores)
            found = _placed(self.refinement(image[None], found[None])[0], meta)
        found = self.decide(found)
        sample.seg_logits = PixelData(data=found)
        sample.pred_sem_seg = PixelData(data=found.argmax(dim=0, keepdim=True))

    def class_probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities of the classes, float (C, h, w).

        With a background threshold, and no names for it that compete, the background has none yet:
        the others sum to 1.

        Args:
            scores: Float (C, h, w).
        """
        logits = scores * self.logit_scale
        if "threshold" in self.background and not self._competes:
            logits[self._background_row] = -torch.inf
        return logits.softmax(dim=0)

    def decide(self, probabilities: Tensor) -> Tensor:
        """Leaves classes out as ``prune`` says and puts in the background's threshold.

        Args:
            probabilities: Of :meth:`class_probabilities`, float (C, h, w).

        Returns:
            Float (C, h, w). With a background threshold t the background has at least t everywhere,
            so that it wins where no other class exceeds t.
        """
        row = self._background_row if self.background_name in self.vocabulary.names else None
        threshold = self.background.get("threshold")
        found = with_background(probabilities, row, threshold)
        return drop_classes(found, row, **self.prune) if self.prune else found

    def probabilities(self, scores: Tensor) -> Tensor:
        """:meth:`class_probabilities`, then :meth:`decide`; float (C, h, w)."""
        return self.decide(self.class_probabilities(scores))

    @property
    def _competes(self) -> bool:
        return bool("names" in self.background or self.background.get("competes"))

    @property
    def _background_row(self) -> int:
        return self.vocabulary.names.index(self.background_name)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        return self.encode_decode(inputs, [])


def padded_extent(size: Sequence[int], stride: int) -> tuple[int, int]:
    """Height and width rounded up to whole cells."""
    height, width = (-(-int(side) // stride) * stride for side in size[-2:])
    return height, width


def _checked_windows(test_cfg: ConfigDict) -> ConfigDict:
    if test_cfg.get("mode", "whole") != "slide":
        return test_cfg
    crop, stride = test_cfg.get("crop_size"), test_cfg.get("stride")
    if crop is None or stride is None:
        raise ValueError("test_cfg of mode 'slide' needs crop_size=(h, w) and stride=(h, w)")
    if any(not 0 < step <= side for step, side in zip(stride, crop, strict=True)):
        raise ValueError(f"stride {tuple(stride)} must lie in 1..crop_size {tuple(crop)}: gaps")
    return test_cfg


def _placed(maps: Tensor, meta: Mapping) -> Tensor:
    """Maps (C, h, w) turned back and brought to the original size."""
    if meta.get("flip"):
        maps = maps.flip(-1 if meta["flip_direction"] == "horizontal" else -2)
    size = tuple(meta["ori_shape"][:2])
    if size == tuple(maps.shape[-2:]):
        return maps
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
