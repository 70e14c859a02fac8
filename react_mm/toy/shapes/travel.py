"""Vehicles."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, circle_points, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator


def _wheel(pen: Pen, x: float, y: float, r: float) -> None:
    pen.ellipse(x, y, r, r, COLOURS["black"])
    pen.ellipse(x, y, r * 0.45, r * 0.45, COLOURS["grey"])


def _glass(rng: Rng) -> Colour:
    return jitter(rng, COLOURS[pick(rng, ("sky blue", "cream", "navy"))])


@shape("car", ("red", "blue", "grey", "yellow", "green"), spin=12)
def _car(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.poly([(-0.55, 0.05), (-0.35, -0.45), (0.3, -0.45), (0.6, 0.05)], shade(colour, 0.9))
    glass = _glass(rng)
    pen.poly([(-0.4, 0.0), (-0.27, -0.35), (-0.04, -0.35), (-0.04, 0.0)], glass)
    pen.poly([(0.06, 0.0), (0.06, -0.35), (0.24, -0.35), (0.44, 0.0)], glass)
    hull = [(-1.0, 0.4), (-0.95, 0.05), (0.75, 0.0), (1.0, 0.15), (1.0, 0.4)]
    pen.poly(hull, colour, surface(rng, colour, (None, "shine"), 1, 1))
    _wheel(pen, -0.55, 0.42, 0.24)
    _wheel(pen, 0.58, 0.42, 0.24)


@shape("bus", ("yellow", "red", "blue", "orange", "white"), spin=10)
def _bus(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.rect(-1.0, -0.6, 1.0, 0.5, colour)
    glass = _glass(rng)
    n = int(rng.integers(3, 6))
    width = 1.8 / n
    for i in range(n):
        x = -0.9 + i * width
        pen.rect(x + 0.04, -0.45, x + width - 0.04, -0.05, glass)
    pen.rect(-1.0, 0.1, 1.0, 0.22, shade(colour, 0.6))
    _wheel(pen, -0.6, 0.55, 0.22)
    _wheel(pen, 0.6, 0.55, 0.22)


@shape("sailing boat", ("white", "red", "orange", "cream"), spin=14)
def _sailing_boat(pen: Pen, rng: Rng, colour: Colour) -> None:
    hull = jitter(rng, COLOURS[pick(rng, ("brown", "navy", "black", "red"))])
    pen.line([(0, -1.0), (0, 0.5)], 0.09, COLOURS["brown"])
    stripes = surface(rng, shade(colour, 0.6), (None, "bands"), 1.6, 2.6)
    pen.poly([(0.08, -0.95), (0.08, 0.35), (0.85, 0.35)], colour, stripes)
    pen.poly([(-0.08, -0.75), (-0.08, 0.35), (-0.65, 0.35)], shade(colour, 0.85))
    pen.poly([(-0.95, 0.45), (0.95, 0.45), (0.6, 0.95), (-0.6, 0.95)], hull)


@shape("rocket", ("white", "grey", "red", "sky blue"), spin=30)
def _rocket(pen: Pen, rng: Rng, colour: Colour) -> None:
    fin = jitter(rng, COLOURS[pick(rng, ("red", "blue", "orange"))])
    pen.poly([(-0.22, 0.6), (0.0, 1.0), (0.22, 0.6)], COLOURS["orange"])
    pen.poly([(-0.3, 0.1), (-0.65, 0.7), (-0.25, 0.6)], fin)
    pen.poly([(0.3, 0.1), (0.65, 0.7), (0.25, 0.6)], fin)
    pen.poly([(-0.32, 0.6), (-0.34, -0.3), (0, -1.0), (0.34, -0.3), (0.32, 0.6)], colour)
    pen.poly([(-0.26, -0.5), (0, -1.0), (0.26, -0.5)], fin)
    pen.ellipse(0, -0.15, 0.18, 0.18, _glass(rng))


@shape("bicycle", ("red", "blue", "black", "green", "orange"), spin=10)
def _bicycle(pen: Pen, rng: Rng, colour: Colour) -> None:
    tyre = shade(COLOURS["black"], rng.uniform(1.0, 1.3))
    for x in (-0.58, 0.58):
        pen.line(circle_points(x, 0.35, 0.4, 0.4), 0.1, tyre, closed=True)
    pen.line([(-0.58, 0.35), (-0.2, -0.25), (0.4, -0.25), (0.0, 0.35)], 0.1, colour, closed=True)
    pen.line([(-0.2, -0.25), (0.0, 0.35)], 0.1, colour)
    pen.line([(0.58, 0.35), (0.36, -0.5), (0.6, -0.6)], 0.1, colour)
    pen.line([(-0.38, -0.4), (-0.06, -0.4)], 0.12, tyre)


@shape("hot-air balloon", ("red", "purple", "orange", "teal", "yellow"), spin=10)
def _hot_air_balloon(pen: Pen, rng: Rng, colour: Colour) -> None:
    second = jitter(rng, COLOURS[pick(rng, ("yellow", "white", "sky blue", "pink"))])
    t = np.linspace(0.85 * math.pi, 2.15 * math.pi, 22)
    dome = np.stack([0.72 * np.cos(t), 0.68 * np.sin(t) - 0.3], 1)
    kind = surface(rng, second, ("stripes", "stripes", "bands"), 1.4, 2.4)
    pen.poly(np.concatenate([dome, [(0.2, 0.5), (-0.2, 0.5)]]), colour, kind)
    pen.line([(-0.18, 0.5), (-0.16, 0.75)], 0.05, COLOURS["brown"])
    pen.line([(0.18, 0.5), (0.16, 0.75)], 0.05, COLOURS["brown"])
    pen.rect(-0.2, 0.7, 0.2, 1.0, COLOURS["brown"])
