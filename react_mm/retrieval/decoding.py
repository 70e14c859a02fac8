"""One stored image or caption to what the encoder takes, or a reason why not."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

MISSING_IMAGE = "missing image"
UNREADABLE_IMAGE = "unreadable image"
TRUNCATED_IMAGE = "truncated image"
TOO_LARGE = "too large in pixels"
TOO_SMALL = "too small"
ASPECT_RATIO = "aspect ratio"
MISSING_CAPTION = "missing caption"
EMPTY_CAPTION = "empty caption"
LONG_CAPTION = "over-long caption"
INVALID_UTF8 = "invalid UTF-8"
CONTROL_CHARACTER = "control character in caption"
DUPLICATE_KEY = "duplicate key"
UNSAFE_MEMBER = "unsafe member"
DAMAGED_SHARD = "damaged shard"
BAD_EMBEDDING = "embedding not finite"


class Rejected(ValueError):
    """A sample that is not kept.

    Args:
        reason: One of this module's reasons; what the ledger counts by.
        detail: Free text about this sample.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Limits:
    """What a sample may be; the size is read from the header, before any pixel is decoded.

    Attributes:
        max_pixels: Most pixels (width x height) of an image.
        min_side: Fewest pixels of the shorter side.
        max_aspect: Largest ratio of the longer to the shorter side.
        max_caption: Most characters of a caption.
    """

    max_pixels: int = 89_478_485
    min_side: int = 1
    max_aspect: float = 100.0
    max_caption: int = 10_000


def decode_caption(data: bytes | None, limits: Limits) -> str:
    """Decode and check a caption.

    Args:
        data: Bytes as stored, or None when there is no caption.
        limits: What it may be.

    Returns:
        The caption without white space around it.

    Raises:
        Rejected: With the reason.
    """
    if data is None:
        raise Rejected(MISSING_CAPTION)
    try:
        text = data.decode("utf-8").removeprefix("\ufeff").strip()
    except UnicodeDecodeError as error:
        raise Rejected(INVALID_UTF8, f"byte {error.start}") from error
    if not text:
        raise Rejected(EMPTY_CAPTION)
    if "\0" in text:
        raise Rejected(CONTROL_CHARACTER, "NUL")
    if len(text) > limits.max_caption:
        raise Rejected(LONG_CAPTION, f"more than {limits.max_caption} characters")
    return text


def decode_image(data: bytes, limits: Limits) -> Image.Image:
    """Decode an image: first frame, upright by its EXIF tag, RGB; transparency becomes white.

    Args:
        data: The file's bytes.
        limits: What it may be.

    Returns:
        The image in mode RGB.

    Raises:
        Rejected: With the reason.
    """
    if not data:
        raise Rejected(UNREADABLE_IMAGE, "0 bytes")
    try:
        image = Image.open(io.BytesIO(data))
        _check_size(image.size, limits)
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))
    except Rejected:
        raise
    except UnidentifiedImageError as error:
        raise Rejected(UNREADABLE_IMAGE, "not an image format that is known") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise Rejected(TOO_LARGE, str(error)) from error
    except Exception as error:  # decoders raise many kinds on damaged bytes; all are one sample's
        reason = TRUNCATED_IMAGE if "truncated" in str(error).lower() else UNREADABLE_IMAGE
        raise Rejected(reason, f"{type(error).__name__}: {error}") from error


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    """Refuse sizes outside the limits."""
    short, long = sorted(size)
    if short < limits.min_side:
        raise Rejected(TOO_SMALL, f"{size[0]} x {size[1]}")
    if short * long > limits.max_pixels:
        raise Rejected(TOO_LARGE, f"{size[0]} x {size[1]} is more than {limits.max_pixels}")
    if long > limits.max_aspect * short:
        raise Rejected(ASPECT_RATIO, f"{size[0]} x {size[1]}")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB."""
    if image.mode.startswith("I"):  # 16 bits a pixel: PIL's own conversion clips at 255
        return image.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
