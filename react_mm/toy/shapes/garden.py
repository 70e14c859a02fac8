"""Garden animals: the target family."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator
_INK = COLOURS["black"]


@shape("ladybird", ("red", "orange", "yellow"), spin=40)
def _ladybird(pen: Pen, rng: Rng, colour: Colour) -> None:
    for side in (-1, 1):
        for y in (-0.2, 0.2, 0.55):
            pen.line([(side * 0.4, y), (side * 0.95, y + 0.1)], 0.08, _INK)
    pen.ellipse(0, -0.65, 0.36, 0.32, _INK)
    pen.ellipse(0, 0.15, 0.72, 0.75, colour)
    pen.line([(0, -0.55), (0, 0.9)], 0.08, _INK)
    for side in (-1, 1):
        for x, y in ((0.32, -0.2), (0.42, 0.25), (0.22, 0.6)):
            r = rng.uniform(0.1, 0.16)
            pen.ellipse(side * x, y, r, r, _INK)


@shape("bumblebee", ("yellow", "orange"), spin=30)
def _bumblebee(pen: Pen, rng: Rng, colour: Colour) -> None:
    wing = jitter(rng, COLOURS[pick(rng, ("sky blue", "white", "grey"))], 12)
    lift = rng.uniform(15, 40)
    pen.ellipse(-0.2, -0.5, 0.3, 0.5, wing, -lift)
    pen.ellipse(0.3, -0.5, 0.3, 0.5, wing, lift)
    pen.poly([(0.75, 0.1), (1.0, 0.2), (0.75, 0.35)], _INK)
    bands = ("stripes", _INK, rng.uniform(1.6, 2.2), rng.uniform(0, 1))
    pen.ellipse(0.1, 0.2, 0.75, 0.5, colour, 0, bands)
    pen.ellipse(-0.65, 0.15, 0.3, 0.3, _INK)
    pen.ellipse(-0.72, 0.08, 0.08, 0.08, COLOURS["white"])


@shape("butterfly", ("blue", "orange", "purple", "yellow", "pink"), spin=40)
def _butterfly(pen: Pen, rng: Rng, colour: Colour) -> None:
    edge = pick(rng, (shade(colour, 0.55), _INK))
    spot = jitter(rng, COLOURS[pick(rng, ("white", "yellow", "red"))])
    for side in (-1, 1):
        for cy, rx, ry, tilt in ((-0.38, 0.52, 0.42, -35), (0.45, 0.4, 0.36, 35)):
            x = side * 0.5
            pen.ellipse(x, cy, rx, ry, edge, side * tilt * -1)
            pen.ellipse(x, cy, rx * 0.75, ry * 0.7, colour, side * tilt * -1)
            pen.ellipse(x + side * 0.1, cy, 0.11, 0.11, spot)
        pen.line([(0, -0.5), (side * 0.25, -0.98)], 0.06, _INK)
    pen.ellipse(0, 0.05, 0.1, 0.62, _INK)


@shape("caterpillar", ("lime", "green", "yellow", "brown"), spin=40)
def _caterpillar(pen: Pen, rng: Rng, colour: Colour) -> None:
    n = int(rng.integers(5, 7))
    phase, bend = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.25)
    x = np.linspace(0.75, -0.7, n)
    y = bend * np.sin(4 * x + phase) + 0.1
    for i in range(n):
        pen.line([(x[i], y[i] + 0.2), (x[i], y[i] + 0.45)], 0.09, _INK)
        pen.ellipse(x[i], y[i], 0.28, 0.3, colour if i % 2 else shade(colour, 0.7))
    head = jitter(rng, COLOURS[pick(rng, ("red", "orange", "brown"))])
    for side in (-0.15, 0.12):
        pen.line([(x[-1] + side * 0.5, y[-1] - 0.2), (x[-1] + side, y[-1] - 0.6)], 0.06, _INK)
    pen.ellipse(x[-1], y[-1], 0.3, 0.32, head)
    pen.ellipse(x[-1] - 0.1, y[-1] - 0.05, 0.08, 0.08, COLOURS["white"])


@shape("dragonfly", ("teal", "blue", "green", "red"), spin=40)
def _dragonfly(pen: Pen, rng: Rng, colour: Colour) -> None:
    wing = jitter(rng, COLOURS[pick(rng, ("sky blue", "white", "cream"))], 12)
    sweep = rng.uniform(5, 18)
    for side in (-1, 1):
        pen.ellipse(side * 0.52, -0.4, 0.48, 0.13, wing, side * -sweep)
        pen.ellipse(side * 0.48, -0.12, 0.46, 0.13, wing, side * sweep)
    bands = surface(rng, shade(colour, 0.5), ("bands", None), 3, 5)
    pen.ellipse(0, 0.35, 0.09, 0.65, colour, 0, bands)
    pen.ellipse(0, -0.3, 0.16, 0.25, shade(colour, 0.8))
    for side in (-1, 1):
        pen.ellipse(side * 0.12, -0.62, 0.14, 0.14, shade(colour, 0.5))


@shape("snail", ("brown", "tan", "orange", "purple", "pink"), spin=15)
def _snail(pen: Pen, rng: Rng, colour: Colour) -> None:
    body = jitter(rng, COLOURS[pick(rng, ("tan", "cream", "grey", "lime"))])
    foot = [(-1.0, 0.75), (-0.85, 0.1), (-0.6, 0.1), (-0.5, 0.5), (0.95, 0.75)]
    pen.poly(foot, body)
    for x in (-0.92, -0.68):
        pen.line([(x + 0.05, 0.15), (x, -0.3)], 0.07, body)
        pen.ellipse(x, -0.33, 0.07, 0.07, _INK)
    pen.ellipse(0.2, 0.05, 0.62, 0.6, colour)
    t = np.linspace(0.4, 4.4 * math.pi, 36)
    r = 0.55 * t / t[-1]
    pen.line(np.stack([0.2 + r * np.cos(t), 0.05 + r * np.sin(t)], 1), 0.09, shade(colour, 0.5))
