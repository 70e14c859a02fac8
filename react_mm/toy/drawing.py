"""Drawing primitives of the drawn world: a pen with its own frame, colours, textures and a mask.

Everything is drawn on a canvas of :data:`SUPERSAMPLE` times the final size and averaged down, so
that edges are smooth without depending on a font or on any asset. All functions are deterministic
in the random generator they are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ["COLOURS", "SUPERSAMPLE", "Pen", "circle_points", "frame", "jitter", "shade"]

SUPERSAMPLE = 2
"""Linear supersampling factor of the canvas."""

_SHIFT = 4  # cv2 fixed point: 1/16 pixel
_ONE = 1 << _SHIFT

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (243, 132, 30),
    "yellow": (250, 212, 45),
    "green": (60, 160, 70),
    "lime": (150, 205, 60),
    "teal": (30, 150, 150),
    "blue": (45, 95, 205),
    "sky blue": (110, 185, 240),
    "navy": (25, 40, 110),
    "purple": (125, 60, 170),
    "pink": (242, 130, 175),
    "brown": (125, 80, 45),
    "tan": (210, 170, 120),
    "cream": (248, 236, 205),
    "white": (248, 248, 248),
    "grey": (145, 145, 150),
    "black": (30, 30, 34),
}
"""Colour words that captions use and what they look like (RGB, 0 to 255)."""

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | np.ndarray


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 18.0) -> Colour:
    """Return ``colour`` with normal noise of ``amount`` (0 to 255 units) on each channel."""
    noise = rng.normal(0.0, amount, 3)
    return tuple(int(min(255, max(0, round(c + n)))) for c, n in zip(colour, noise, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """Return ``colour`` darkened (factor < 1) or moved towards white (factor > 1)."""
    if factor <= 1.0:
        return tuple(int(c * factor) for c in colour)
    return tuple(int(c + (255 - c) * (factor - 1.0)) for c in colour)


def circle_points(
    cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, n: int = 28
) -> np.ndarray:
    """Return an (n, 2) polygon of an ellipse turned by ``angle`` degrees."""
    t = np.arange(n) * (2.0 * math.pi / n)
    x, y = rx * np.cos(t), ry * np.sin(t)
    a = math.radians(angle)
    ca, sa = math.cos(a), math.sin(a)
    return np.stack([cx + ca * x - sa * y, cy + sa * x + ca * y], 1)


def frame(
    centre: tuple[float, float], size: float, angle: float, aspect: float, shear: float, flip: bool
) -> np.ndarray:
    """Return the (2, 3) affine map from the object's frame [-1, 1]^2 to final pixels.

    Args:
        centre: Pixel position of the object's origin (x, y).
        size: Half extent in pixels.
        angle: Rotation in degrees.
        aspect: Width over height factor; 1 keeps the proportions.
        shear: Horizontal shear.
        flip: Mirror left and right.
    """
    a = math.radians(angle)
    ca, sa = math.cos(a), math.sin(a)
    root = math.sqrt(aspect)
    linear = np.array([[ca, -sa], [sa, ca]]) @ np.array([[root, shear], [0.0, 1.0 / root]]) * size
    if flip:
        linear[:, 0] = -linear[:, 0]
    return np.column_stack([linear, np.array(centre, dtype=np.float64)])


class Pen:
    """Draws parts of one object on a canvas and keeps the union of the parts as its mask.

    Args:
        canvas: (H, W, 3) uint8 RGB at supersampled size; drawn on in place.
        affine: (2, 3) map from the object's frame to final (not supersampled) pixels.
        outline: Colour of a thin line around every part, or None.
    """

    def __init__(self, canvas: np.ndarray, affine: np.ndarray, outline: Colour | None = None):
        self.canvas = canvas
        self.affine = affine * SUPERSAMPLE
        self.mask = np.zeros(canvas.shape[:2], np.uint8)
        self.outline = outline
        linear = self.affine[:, :2]
        self._scale = math.sqrt(abs(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0]))

    def _pixels(self, points: Points) -> np.ndarray:
        xy = np.asarray(points, np.float64) @ self.affine[:, :2].T + self.affine[:, 2]
        return np.round((xy - 0.5) * _ONE).astype(np.int32)

    def poly(self, points: Points, colour: Colour, texture: tuple | None = None) -> None:
        """Fill a polygon.

        Args:
            points: (N, 2) in the object's frame, y down.
            colour: RGB.
            texture: ``(kind, colour, frequency, phase)`` drawn over the fill, clipped to it; kind
                is 'stripes', 'bands', 'dots', 'checks' or 'shine'.
        """
        pixels = [self._pixels(points)]
        cv2.fillPoly(self.mask, pixels, 255, shift=_SHIFT)
        cv2.fillPoly(self.canvas, pixels, colour, lineType=cv2.LINE_AA, shift=_SHIFT)
        if texture is not None:
            self._texture(pixels, colour, texture)
        if self.outline is not None:
            cv2.polylines(self.canvas, pixels, True, self.outline, 2, cv2.LINE_AA, _SHIFT)

    def ellipse(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        colour: Colour,
        angle: float = 0.0,
        texture: tuple | None = None,
    ) -> None:
        """Fill an ellipse with centre (cx, cy), radii (rx, ry) turned by ``angle`` degrees."""
        self.poly(circle_points(cx, cy, rx, ry, angle), colour, texture)

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        texture: tuple | None = None,
    ) -> None:
        """Fill the rectangle from (x0, y0) to (x1, y1)."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, texture)

    def line(self, points: Points, width: float, colour: Colour, closed: bool = False) -> None:
        """Draw a polyline of ``width`` (in the object's frame) that counts to the mask."""
        pixels = [self._pixels(points)]
        thick = max(1, round(width * self._scale))
        cv2.polylines(self.canvas, pixels, closed, colour, thick, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self.mask, pixels, closed, 255, thick, cv2.LINE_8, _SHIFT)

    def _texture(self, pixels: list[np.ndarray], base: Colour, texture: tuple) -> None:
        kind, colour, frequency, phase = texture
        height, width = self.mask.shape
        low = np.maximum(pixels[0].min(0) // _ONE - 1, 0)
        high = np.minimum(pixels[0].max(0) // _ONE + 2, (width, height))
        if (high <= low).any():
            return
        region = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillPoly(region, [pixels[0] - (low * _ONE).astype(np.int32)], 1, shift=_SHIFT)
        inverse = np.linalg.inv(self.affine[:, :2])
        x = np.arange(low[0], high[0]) - self.affine[0, 2]
        y = np.arange(low[1], high[1])[:, None] - self.affine[1, 2]
        u = (inverse[0, 0] * x + inverse[0, 1] * y) * frequency + phase
        v = (inverse[1, 0] * x + inverse[1, 1] * y) * frequency + phase
        view = self.canvas[low[1] : high[1], low[0] : high[0]]
        if kind == "shine":
            gain = 1.0 + 0.22 * np.clip(-(u + v) / max(frequency, 1e-6), -1.2, 1.2)
            lit = np.clip(view * gain[..., None], 0, 255).astype(np.uint8)
            np.copyto(view, lit, where=region[..., None].astype(bool))
            return
        if kind == "stripes":
            on = (u % 1.0) < 0.45
        elif kind == "bands":
            on = (v % 1.0) < 0.45
        elif kind == "dots":
            on = ((u % 1.0) - 0.5) ** 2 + ((v % 1.0) - 0.5) ** 2 < 0.085
        elif kind == "checks":
            on = (np.floor(u) + np.floor(v)) % 2 < 1
        else:
            raise ValueError(f"unknown texture {kind!r}")
        view[(region > 0) & on] = colour
