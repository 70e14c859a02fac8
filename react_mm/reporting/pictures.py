"""Predictions drawn over pictures: objects, regions, classes; and pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from react_mm.reporting.drawings import palette

PAPER, INK, GRID = (255, 255, 255), (31, 41, 51), (203, 210, 217)
MASK_SHARE, REGION_SHARE = 0.45, 0.6
SMALLEST, LARGEST = 480, 1280


def fit(image: Image.Image, smallest: int = SMALLEST, largest: int = LARGEST) -> Image.Image:
    """The picture with its longer side between ``smallest`` and ``largest`` pixels."""
    side = min(max(max(image.size), smallest), largest)
    scale = side / max(image.size)
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return image.convert("RGB").resize(size, Image.Resampling.BICUBIC)


def draw_objects(
    image: Image.Image,
    objects: Sequence[Mapping[str, Any]],
    masks: Sequence[np.ndarray] | None = None,
    classes: int | None = None,
) -> Image.Image:
    """Draws boxes, labels and masks, a colour per class; the best lie on top.

    Args:
        image: RGB picture.
        objects: Each with ``box`` (x1, y1, x2, y2 in pixels of the image), ``name``, ``label`` and
            ``score``.
        masks: A bool (H, W) per object, or None.
        classes: Number of classes, for the colours; None: by the labels that occur.

    Returns:
        A new picture, enlarged or reduced by :func:`fit`.
    """
    canvas = fit(image)
    scale = canvas.width / image.width
    count = classes or max((entry["label"] for entry in objects), default=0) + 1
    colours = palette(count + 1)[1:]
    order = sorted(range(len(objects)), key=lambda i: objects[i]["score"])
    if masks is not None:
        for place in order:
            canvas = _shade(canvas, masks[place], colours[objects[place]["label"]], MASK_SHARE)
    pen, font = ImageDraw.Draw(canvas), _font(canvas)
    width = max(2, round(max(canvas.size) / 320))
    for place in order:
        box = [value * scale for value in objects[place]["box"]]
        pen.rectangle(box, outline=tuple(colours[objects[place]["label"]]), width=width)
    taken: list[tuple[float, float, float, float]] = []
    for place in reversed(order):  # the best choose where their label stands
        entry = objects[place]
        box = [value * scale for value in entry["box"]]
        text = f"{entry['name']} {entry['score']:.2f}"
        taken.append(_label(pen, text, box, taken, colours[entry["label"]], font, canvas.size))
    return canvas


def draw_regions(
    image: Image.Image, labels: np.ndarray, names: Sequence[str], regions: Sequence[Mapping]
) -> Image.Image:
    """Lays a label map over a picture, with the names of the regions in a legend below.

    Args:
        image: RGB picture of size (w, h).
        labels: Integer map (h, w) of class indices.
        names: The classes; one named ``background`` stays uncoloured.
        regions: ``name, label, share`` of what occurs, largest first.

    Returns:
        A new picture.
    """
    canvas = fit(image)
    colours = palette(len(names) + 1)[1:]
    for label in np.unique(labels):
        if names[int(label)] != "background":
            canvas = _shade(canvas, labels == label, colours[int(label)], REGION_SHARE)
    entries = [
        (f"{region['name']} {100 * region['share']:.0f} %", tuple(colours[region["label"]]))
        for region in regions
        if region["share"] >= 0.005 and region["name"] != "background"
    ]
    return _with_legend(canvas, entries)


def draw_classes(image: Image.Image, classes: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Puts the best classes below a picture, with a bar for each probability.

    Args:
        image: RGB picture.
        classes: ``name, score`` best first.
    """
    canvas = fit(image)
    font = _font(canvas)
    row = round(_height(font) * 1.6)
    sheet = Image.new("RGB", (canvas.width, canvas.height + row * len(classes) + 8), PAPER)
    sheet.paste(canvas, (0, 0))
    pen = ImageDraw.Draw(sheet)
    left = round(canvas.width * 0.5)
    for place, entry in enumerate(classes):
        top = canvas.height + 4 + place * row
        pen.text((6, top + row * 0.15), _shorten(pen, entry["name"], left - 12, font), INK, font)
        room = canvas.width - left - 70
        pen.rectangle((left, top + 3, left + room, top + row - 4), fill=(238, 241, 244))
        bar = left + max(1, room * entry["score"])
        pen.rectangle((left, top + 3, bar, top + row - 4), fill=(15, 118, 110))
        pen.text((left + room + 8, top + row * 0.15), f"{entry['score']:.2f}", INK, font)
    return sheet


def side_by_side(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Pictures in a row, each under its title.

    Args:
        pictures: Title to picture.
    """
    gap, heads = 12, 30
    height = max(picture.height for picture in pictures.values())
    width = sum(picture.width for picture in pictures.values()) + gap * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, height + heads + gap), PAPER)
    pen, left = ImageDraw.Draw(sheet), gap
    font = ImageFont.load_default(size=17)
    for title, picture in pictures.items():
        pen.text((left, 6), _shorten(pen, title, picture.width, font), INK, font)
        sheet.paste(picture, (left, heads))
        left += picture.width + gap
    return sheet


def _shade(canvas: Image.Image, mask: np.ndarray, colour: Sequence[int], share: float) -> Image:
    """Mixes a colour into the part of a picture that a mask of the original size covers."""
    alpha = Image.fromarray((np.asarray(mask) * round(255 * share)).astype(np.uint8))
    alpha = alpha.resize(canvas.size, Image.Resampling.NEAREST)
    return Image.composite(Image.new("RGB", canvas.size, tuple(map(int, colour))), canvas, alpha)


def _label(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: Sequence[float],
    taken: Sequence[tuple[float, float, float, float]],
    colour: Sequence[int],
    font: Any,
    size: tuple[int, int],
) -> tuple[float, float, float, float]:
    """Writes a label at a box where no other stands; returns the place it takes."""
    height, width = _height(font) + 6, pen.textlength(text, font=font) + 8
    x1, y1, x2, y2 = box
    places = [(x1, y1 - height), (x1, y2), (x1, y1), (x2 - width, y1 - height), (x2 - width, y2)]
    places += [(x1, y1 + step * height) for step in range(1, 6)]
    chosen = None
    for left, top in places:
        left = min(max(left, 0), max(0, size[0] - width))
        top = min(max(top, 0), max(0, size[1] - height))
        spot = (left, top, left + width, top + height)
        chosen = chosen or spot
        if not any(_overlap(spot, other) for other in taken):
            chosen = spot
            break
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    pen.rectangle(chosen, fill=tuple(map(int, colour)))
    pen.text((chosen[0] + 4, chosen[1] + 2), text, fill=INK if light else PAPER, font=font)
    return chosen


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _with_legend(canvas: Image.Image, entries: Sequence[tuple[str, tuple]]) -> Image.Image:
    font = _font(canvas)
    pen = ImageDraw.Draw(canvas)
    row, left, lines = round(_height(font) * 1.7), 6, [[]]
    for text, colour in entries:
        width = pen.textlength(text, font=font) + row + 14
        if left + width > canvas.width and lines[-1]:
            lines.append([])
            left = 6
        lines[-1].append((left, text, colour))
        left += width
    sheet = Image.new("RGB", (canvas.width, canvas.height + row * len(lines) + 8), PAPER)
    sheet.paste(canvas, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        top = canvas.height + 6 + number * row
        for left, text, colour in line:
            pen.rectangle((left, top, left + row - 6, top + row - 6), fill=colour, outline=GRID)
            pen.text((left + row, top), text, INK, font)
    return sheet


def _font(canvas: Image.Image) -> Any:
    return ImageFont.load_default(size=max(13, round(max(canvas.size) / 44)))


def _height(font: Any) -> int:
    top, bottom = font.getbbox("Ag")[1::2]
    return bottom - top + top // 2


def _shorten(pen: ImageDraw.ImageDraw, text: str, width: float, font: Any) -> str:
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..."
