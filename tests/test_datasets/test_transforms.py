import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_train

from react_mm.datasets.images import to_uint8_chw
from react_mm.datasets.pairs import seeded
from react_mm.datasets.transforms import (
    CLIP_MEAN,
    CLIP_STD,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ResizeCenterCrop,
    TimmAugment,
)

MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))


def picture(height, width, seed=0):
    """Noise over a gradient: resampling differences show."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    return Image.fromarray((ramp + rng.integers(0, 56, (height, width, 3))).astype(np.uint8))


@pytest.mark.parametrize("size", [(224, 224), (300, 200), (97, 641), (64, 48), (500, 500)])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_equals_open_clips_evaluation_preprocessing(size, mode):
    image = picture(*size)
    expected = image_transform(224, False, CLIP_MEAN, CLIP_STD, resize_mode=mode)(image)
    ours = ResizeCenterCrop(224, resize_mode=mode)({"image": image})["image"]
    normalised = (to_uint8_chw(ours).float() / 255 - MEAN) / STD
    assert (normalised - expected).abs().max() < 1e-6


def test_timm_augment_is_timms_factory_up_to_bytes():
    """Where nothing is erased the bytes are exact; erased noise is clipped to what a byte holds."""
    image = picture(90, 120)
    reference = transforms_imagenet_train(
        img_size=32,
        scale=(0.08, 1.0),
        color_jitter=0.4,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        mean=CLIP_MEAN,
        std=CLIP_STD,
        re_prob=0.25,
        re_mode="pixel",
    )
    ours = TimmAugment(32)
    erased = 0
    for seed in range(40):
        with seeded(seed):
            expected = (reference(image) * STD + MEAN) * 255
        with seeded(seed):
            got = ours({"image": image})["image"]
        assert got.dtype == torch.uint8
        assert got.shape == (3, 32, 32)
        inside = (expected - expected.round()).abs() < 1e-3
        erased += int(not inside.all())
        assert (got.float() - expected).abs()[
            inside & (expected < 255.5) & (expected > -0.5)
        ].max() < 0.01
    assert 3 < erased < 20  # about a quarter of 40


def test_published_recipe_is_the_default():
    text = str(TimmAugment(224).transform)
    for part in ("RandomResizedCropAndInterpolation", "RandomHorizontalFlip", "RandAugment"):
        assert part in text
    assert "ColorJitter" not in text  # timm: off where RandAugment is on
    assert "ColorJitter" in str(TimmAugment(224, force_color_jitter=True).transform)
    assert "RandomErasing" in text


def test_strongest_posterizing_keeps_a_bit():
    ours = TimmAugment(32, re_prob=0.0)
    (augment,) = (step for step in ours.transform.transforms if hasattr(step, "ops"))
    augment.ops = [op for op in augment.ops if op.name.startswith("Posterize")]
    assert augment.ops
    augment.choice_weights = None
    for op in augment.ops:
        op.prob, op.magnitude, op.magnitude_std = 1.0, 10, 0
    got = ours({"image": picture(40, 40)})["image"]
    assert got.shape == (3, 32, 32)
    assert got.max() > got.min()


def test_crop_and_flip():
    image = picture(50, 70)
    with seeded(1):
        assert RandomResizedCrop(16).apply(image).size == (16, 16)
    flipped = RandomHorizontalFlip(1.0).apply(image)
    assert np.array_equal(np.asarray(flipped), np.asarray(image)[:, ::-1])
    assert RandomHorizontalFlip(0.0).apply(image) is image


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="bicubic"):
        RandomResizedCrop(16, interpolation="cubic")
    with pytest.raises(ValueError, match="resize_mode"):
        ResizeCenterCrop(16, resize_mode="longest")
    with pytest.raises(TypeError, match="uint8"):
        to_uint8_chw(torch.zeros(3, 4, 4))
