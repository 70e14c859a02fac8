"""Picture transforms from and to ``dict(image=...)``: PIL in, PIL or uint8 (3, H, W) out.

They wrap torchvision and timm; their randomness comes from the global generators, which
:class:`react_mm.datasets.pairs.PairDataset` seeds per sample.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_train
from torchvision import transforms as tv

from react_mm.datasets.images import to_uint8_chw
from react_mm.registry import TRANSFORMS

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def interpolation_mode(name: str) -> tv.InterpolationMode:
    """``bicubic``, ``bilinear`` or ``nearest`` as torchvision's enumeration.

    Raises:
        ValueError: If the name is another.
    """
    if name not in ("bicubic", "bilinear", "nearest"):
        raise ValueError(f"interpolation is bicubic, bilinear or nearest, not {name!r}")
    return tv.InterpolationMode(name)


class ImageTransform(ABC):
    """Base of the transforms: maps the picture, leaves the other entries."""

    @abstractmethod
    def apply(self, image: Image.Image) -> Image.Image | torch.Tensor:
        """Maps one picture."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Applies the transform to ``results['image']``."""
        return {**results, "image": self.apply(results["image"])}


@TRANSFORMS.register_module()
class RandomResizedCrop(ImageTransform):
    """A random part of the picture, resized (torchvision's RandomResizedCrop).

    Args:
        size: Side of the output in pixels, or (height, width).
        scale: Range of the part's share of the area.
        ratio: Range of the part's aspect ratio.
        interpolation: ``bicubic``, ``bilinear`` or ``nearest``.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bicubic",
    ) -> None:
        self.transform = tv.RandomResizedCrop(
            size, tuple(scale), tuple(ratio), interpolation_mode(interpolation)
        )

    def apply(self, image: Image.Image) -> Image.Image:
        """Crops and resizes."""
        return self.transform(image)


@TRANSFORMS.register_module()
class RandomHorizontalFlip(ImageTransform):
    """Mirrors the picture with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.transform = tv.RandomHorizontalFlip(p)

    def apply(self, image: Image.Image) -> Image.Image:
        """Mirrors or not."""
        return self.transform(image)


@TRANSFORMS.register_module()
class ResizeCenterCrop(ImageTransform):
    """open_clip's evaluation preprocessing up to the normalisation.

    Args:
        size: Side of the square output in pixels.
        interpolation: ``bicubic`` for CLIP.
        resize_mode: ``shortest`` (shorter side to ``size``, then centre crop) or ``squash`` (both
            sides to ``size``, as SigLIP does).
    """

    def __init__(
        self, size: int, interpolation: str = "bicubic", resize_mode: str = "shortest"
    ) -> None:
        if resize_mode not in ("shortest", "squash"):
            raise ValueError(f"resize_mode is shortest or squash, not {resize_mode!r}")
        mode = interpolation_mode(interpolation)
        target = size if resize_mode == "shortest" else (size, size)
        self.transform = tv.Compose([tv.Resize(target, mode), tv.CenterCrop(size)])

    def apply(self, image: Image.Image) -> Image.Image:
        """Resizes and crops."""
        return self.transform(image)


def eval_transform(preprocess: Mapping[str, Any]) -> Callable[[Image.Image], torch.Tensor]:
    """What a tower's ``preprocess`` says, up to the normalisation.

    Args:
        preprocess: ``size`` (h, w), square; ``interpolation``; optional ``resize_mode``.

    Returns:
        A function from an RGB picture to uint8 (3, h, w).
    """
    transform = ResizeCenterCrop(
        preprocess["size"][0],
        preprocess.get("interpolation", "bicubic"),
        preprocess.get("resize_mode", "shortest"),
    )
    return lambda image: to_uint8_chw(transform.apply(image))


@TRANSFORMS.register_module()
class TimmAugment(ImageTransform):
    """REACT's published augmentation, made by timm's own factory.

    The defaults are the recipe of the public customization scripts (microsoft/react):
    RandomResizedCrop 0.08 to 1, flip 0.5, colour jitter 0.4, RandAugment ``rand-m9-mstd0.5-inc1``,
    random erasing 0.25 in pixel mode. As in timm, colour jitter is off where RandAugment is on,
    unless ``force_color_jitter``. timm erases with noise after normalisation; here the result is
    brought back to bytes, which clips that noise to what a byte can hold and changes nothing else.

    Args:
        size: Side of the output in pixels.
        scale: Range of the crop's share of the area.
        ratio: Range of the crop's aspect ratio.
        interpolation: ``bicubic``, ``bilinear`` or ``random``.
        hflip: Probability of mirroring.
        color_jitter: Strength of brightness, contrast and saturation jitter.
        force_color_jitter: Jitter although RandAugment is on.
        auto_augment: timm's name of the policy, or None.
        re_prob: Probability of erasing.
        re_mode: ``pixel``, ``rand`` or ``const``.
        re_count: Number of erased rectangles.
        mean: Channel means (0..1 units), also the fill colour of RandAugment.
        std: Channel standard deviations.
    """

    def __init__(
        self,
        size: int,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bicubic",
        hflip: float = 0.5,
        color_jitter: float = 0.4,
        force_color_jitter: bool = False,
        auto_augment: str | None = "rand-m9-mstd0.5-inc1",
        re_prob: float = 0.25,
        re_mode: str = "pixel",
        re_count: int = 1,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)
        self.transform = transforms_imagenet_train(
            img_size=size,
            scale=tuple(scale),
            ratio=tuple(ratio),
            hflip=hflip,
            color_jitter=color_jitter,
            force_color_jitter=force_color_jitter,
            auto_augment=auto_augment,
            interpolation=interpolation,
            mean=tuple(mean),
            std=tuple(std),
            re_prob=re_prob,
            re_mode=re_mode,
            re_count=re_count,
        )
        for step in self.transform.transforms:
            for op in getattr(step, "ops", ()):
                if op.name.startswith("Posterize"):
                    op.level_fn = partial(_at_least_one_bit, op.level_fn)

    def apply(self, image: Image.Image) -> torch.Tensor:
        """Augments; returns uint8 (3, size, size)."""
        bytes_ = (self.transform(image) * self.std + self.mean) * 255.0
        return to_uint8_chw(bytes_.round().clamp(0, 255).to(torch.uint8))


def _at_least_one_bit(level_fn: Callable[..., tuple[int]], level: float, hparams: dict) -> tuple:
    """timm's strongest posterizing keeps no bit, which Pillow 13 refuses."""
    return (max(1, level_fn(level, hparams)[0]),)
