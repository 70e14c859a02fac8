"""Composition: one object or several on a background, with boxes and masks that know occlusion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from react_mm.toy.backgrounds import camera, paint_background
from react_mm.toy.drawing import COLOURS, SUPERSAMPLE, Pen, frame, jitter, shade
from react_mm.toy.shapes import SHAPES
from react_mm.toy.world import CONCEPTS

__all__ = ["Drawing", "Placed", "draw_scene", "draw_single"]

UNUSUAL = 0.4
"""Chance that an object's colour is drawn evenly from its colours instead of its typical one."""

DISTANCE = 0.5
"""Size of a distant object relative to its place: 12 to 20 pixels among three to five objects."""


@dataclass
class Placed:
    """One object in a drawing.

    Attributes:
        concept: Index into :data:`react_mm.toy.world.CONCEPTS`.
        colour: Colour word of its main part.
        mask: (H, W) bool, the visible pixels.
    """

    concept: int
    colour: str
    mask: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Tight box of the mask as (x0, y0, x1, y1) in pixels, x1 and y1 exclusive."""
        rows = np.flatnonzero(self.mask.any(1))
        columns = np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass
class Drawing:
    """An image of the drawn world.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: The objects, back to front.
        background: Kind of the background.
        background_colour: Colour word of the background.
    """

    image: np.ndarray
    objects: list[Placed] = field(default_factory=list)
    background: str = "plain"
    background_colour: str = "white"


def _draw_object(
    rng: np.random.Generator,
    canvas: np.ndarray,
    concept: int,
    centre: tuple[float, float],
    size: float,
) -> tuple[np.ndarray, str]:
    """Draw one concept; returns its supersampled mask and its colour word."""
    look = SHAPES[CONCEPTS[concept].name]
    word = look.colours[0]
    if rng.random() < UNUSUAL:
        word = look.colours[int(rng.integers(len(look.colours)))]
    colour = jitter(rng, shade(COLOURS[word], float(rng.uniform(0.88, 1.1))), 10)
    affine = frame(
        centre,
        size,
        angle=float(rng.uniform(-look.spin, look.spin)),
        aspect=float(rng.uniform(0.8, 1.25)),
        shear=float(rng.uniform(-0.12, 0.12)),
        flip=bool(rng.random() < 0.5),
    )
    outline = shade(colour, 0.35) if rng.random() < 0.35 else None
    pen = Pen(canvas, affine, outline)
    look.draw(pen, rng, colour)
    return pen.mask, word


def _down(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    size = (width // SUPERSAMPLE, height // SUPERSAMPLE)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def draw_single(rng: np.random.Generator, concept: int, size: int = 64) -> Drawing:
    """Draw one object that fills much of a square image.

    Args:
        rng: Random generator; the drawing is a pure function of its state.
        concept: Index into ``CONCEPTS``.
        size: Side of the image in pixels.
    """
    canvas, kind, word = paint_background(rng, size * SUPERSAMPLE, size * SUPERSAMPLE)
    half = size * float(rng.uniform(0.32, 0.46))
    room = size / 2 - 0.8 * half
    centre = tuple(size / 2 + float(rng.uniform(-1, 1)) * room for _ in range(2))
    mask, colour = _draw_object(rng, canvas, concept, centre, half)
    image = camera(rng, _down(canvas))
    return Drawing(image, [Placed(concept, colour, _down(mask) > 127)], kind, word)


def _place(
    rng: np.random.Generator, count: int, height: int, width: int
) -> list[tuple[float, float, float]]:
    """Find up to ``count`` circles (x, y, half extent) that overlap little."""
    spots: list[tuple[float, float, float]] = []
    top = {1: 0.42, 2: 0.3, 3: 0.26, 4: 0.23, 5: 0.21}[count]
    for _ in range(count * 12):
        half = min(height, width) * float(rng.uniform(0.6, 1.0)) * top
        x = float(rng.uniform(0.85 * half, width - 0.85 * half))
        y = float(rng.uniform(0.85 * half, height - 0.85 * half))
        apart = all(
            max(abs(x - a), abs(y - b)) > 0.85 * (half + c)
            or np.hypot(x - a, y - b) > 0.95 * (half + c)
            for a, b, c in spots
        )
        if apart:
            spots.append((x, y, half))
        if len(spots) == count:
            break
    return spots


def draw_scene(
    rng: np.random.Generator,
    concepts: list[int],
    height: int,
    width: int,
    distant: Collection[int] = (),
) -> Drawing:
    """Draw several objects that may touch but hide each other little.

    Objects for which no room is found, or of which less than 30 % would stay visible, are left
    out together with everything drawn for them.

    Args:
        rng: Random generator; the drawing is a pure function of its state.
        concepts: One to five indices into ``CONCEPTS``, drawn back to front.
        height: Image height in pixels.
        width: Image width in pixels.
        distant: Concepts that are drawn :data:`DISTANCE` times as large as their place allows.
    """
    canvas, kind, word = paint_background(rng, height * SUPERSAMPLE, width * SUPERSAMPLE)
    spots = _place(rng, len(concepts), height, width)
    placed: list[Placed] = []
    whole: list[int] = []
    for concept, (x, y, half) in zip(concepts, spots, strict=False):
        trial = canvas.copy()
        half *= DISTANCE if concept in distant else 1.0
        mask, colour = _draw_object(rng, trial, concept, (x, y), half)
        solid = _down(mask) > 127
        left = [p.mask & ~solid for p in placed]
        hidden = any(m.sum() < 0.3 * n for m, n in zip(left, whole, strict=True))
        if hidden or solid.sum() < 12:
            continue
        canvas = trial
        for p, m in zip(placed, left, strict=True):
            p.mask = m
        placed.append(Placed(concept, colour, solid))
        whole.append(int(solid.sum()))
    return Drawing(camera(rng, _down(canvas)), placed, kind, word)
