"""Bytes to RGB pictures: one decoder for training and evaluation."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 128_000_000


class DamagedImageError(ValueError):
    """Bytes that are no readable picture, or one of too many pixels."""


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture to RGB, upright (EXIF orientation applied), first frame only.

    Args:
        data: Content of a JPEG, PNG, WebP, ... file.
        max_pixels: Larger pictures are refused before decoding.

    Raises:
        DamagedImageError: If the bytes cannot be decoded or the picture is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > max_pixels:
                    raise DamagedImageError(
                        f"{image.width} x {image.height} pixels, more than {max_pixels}"
                    )
                if image.mode.startswith("I;16"):  # PIL clips 16 bits to 8; keep the high byte
                    high = (np.asarray(image) >> 8).astype(np.uint8)
                    return ImageOps.exif_transpose(Image.fromarray(high)).convert("RGB")
                return ImageOps.exif_transpose(image).convert("RGB")
    except DamagedImageError:
        raise
    except Exception as error:  # PIL raises whatever its decoders raise
        raise DamagedImageError(f"{type(error).__name__}: {error}") from error


def read_image(path: str | Path) -> Image.Image:
    """Reads a picture file to RGB.

    Raises:
        DamagedImageError: If it cannot be decoded; the message names the file.
        OSError: If it cannot be read.
    """
    try:
        return decode_image(Path(path).read_bytes())
    except DamagedImageError as error:
        raise DamagedImageError(f"{path}: {error}") from error


def to_uint8_chw(image: Image.Image | torch.Tensor) -> torch.Tensor:
    """Converts an RGB picture to a uint8 tensor (3, H, W); such a tensor passes through."""
    if isinstance(image, torch.Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            raise TypeError(
                f"expected a uint8 tensor (3, H, W), got {image.dtype} {tuple(image.shape)}"
            )
        return image
    array = np.array(image.convert("RGB"), dtype=np.uint8)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
