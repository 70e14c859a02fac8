"""Boxes and masks drawn over images, as inline pictures for the report."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

RIGHT, WRONG, TRUTH = (15, 118, 110), (200, 58, 44), (70, 82, 96)


def as_address(image: Image.Image, quality: int = 88) -> str:
    """Encodes a picture as a ``data:`` address (WebP, RGB)."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def thumbnail(path: str | Path, side: int = 96) -> str:
    """Reads an image file and encodes it, its longer side scaled to ``side`` pixels.

    Args:
        path: An image file.
        side: Longer side of the result, in pixels.

    Returns:
        A ``data:`` address.
    """
    with Image.open(path) as image:
        image = image.convert("RGB")
    scale = side / max(image.size)
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return as_address(image.resize(size, Image.Resampling.BICUBIC))


def draw_boxes(
    image: Image.Image, boxes: Sequence[dict[str, Any]], side: int = 288, colour: Any = None
) -> Image.Image:
    """Draws labelled boxes over an enlarged image.

    Args:
        image: RGB picture.
        boxes: Each with ``box`` (x1, y1, x2, y2 in pixels of the image), ``name``, and optionally
            ``score`` (fraction) and ``right`` (whether the label is true; chooses the colour).
        side: Longer side of the result, in pixels.
        colour: One RGB colour for all boxes, instead of right or wrong.

    Returns:
        A new picture.
    """
    scale = side / max(image.size)
    canvas = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    for entry in sorted(boxes, key=lambda entry: entry.get("score", 1.0)):
        ink = colour or (RIGHT if entry.get("right", True) else WRONG)
        x1, y1, x2, y2 = (value * scale for value in entry["box"])
        pen.rectangle((x1, y1, x2, y2), outline=ink, width=2)
        text = entry["name"]
        if "score" in entry:
            text += f" {entry['score']:.2f}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        height, width = bottom - top + 4, right - left + 6
        x = min(max(x1, 0), max(0, canvas.width - width))
        y = y1 - height if y1 >= height else min(y1, canvas.height - height)
        pen.rectangle((x, y, x + width, y + height), fill=ink)
        pen.text((x + 3 - left, y + 2 - top), text, fill="white", font=font)
    return canvas


def palette(count: int) -> np.ndarray:
    """Colours for label maps, background grey first.

    Args:
        count: Number of labels with the background.

    Returns:
        uint8 array ``(count, 3)``, neighbours far apart in hue.
    """
    colours = [(232, 236, 240)]
    for index in range(count - 1):
        hue = (index * 0.61803398875) % 1.0
        rgb = colorsys.hls_to_rgb(hue, 0.42 + 0.16 * (index % 3) / 2, 0.72)
        colours.append(tuple(round(255 * part) for part in rgb))
    return np.asarray(colours, np.uint8)


def draw_mask(
    image: Image.Image, labels: np.ndarray, names: Sequence[str], side: int = 288
) -> Image.Image:
    """Lays a label map over an image and names each region at its centre.

    Args:
        image: RGB picture of size (w, h).
        labels: Integer map ``(h, w)``: 0 is background, i + 1 is ``names[i]``; 255 is ignored.
        names: Class names.
        side: Longer side of the result, in pixels.

    Returns:
        A new picture.
    """
    labels = np.where(labels == 255, 0, labels).astype(int)
    scale = side / max(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    colours = Image.fromarray(palette(len(names) + 1)[labels]).resize(
        size, Image.Resampling.NEAREST
    )
    canvas = Image.blend(image.convert("L").convert("RGB").resize(size), colours, 0.62)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    for label in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == label)
        if rows.size < 0.012 * labels.size:
            continue
        middle = np.argmin(np.abs(rows - np.median(rows)) + np.abs(columns - np.median(columns)))
        text = names[label - 1]
        width = pen.textlength(text, font=font)
        x = min(max(columns[middle] * scale - width / 2, 2), max(2, size[0] - width - 2))
        y = min(max(rows[middle] * scale - 7, 1), size[1] - 15)
        pen.text((x, y), text, fill="white", font=font, stroke_width=2, stroke_fill=(20, 26, 33))
    return canvas
