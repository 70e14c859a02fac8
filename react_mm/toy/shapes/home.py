"""Household things and snacks."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, circle_points, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator


def _second(rng: Rng) -> Colour:
    return jitter(rng, COLOURS[pick(rng, ("white", "yellow", "navy", "red", "pink"))])


@shape("mug", ("white", "blue", "red", "green", "grey"), spin=18)
def _mug(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line(circle_points(0.55, 0.1, 0.34, 0.38), 0.16, shade(colour, 0.8), closed=True)
    look = surface(rng, _second(rng), (None, "bands", "dots"), 1.6, 2.8)
    pen.poly([(-0.8, -0.65), (0.5, -0.65), (0.42, 0.85), (-0.72, 0.85)], colour, look)
    pen.ellipse(-0.15, -0.65, 0.65, 0.17, shade(COLOURS["brown"], 0.7))


@shape("teapot", ("blue", "white", "red", "purple", "teal"), spin=18)
def _teapot(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line(circle_points(0.7, 0.1, 0.27, 0.33), 0.12, shade(colour, 0.75), closed=True)
    pen.poly([(-0.4, 0.3), (-1.0, -0.4), (-0.82, -0.48), (-0.35, -0.15)], shade(colour, 0.85))
    pen.ellipse(
        0, 0.2, 0.66, 0.6, colour, 0, surface(rng, _second(rng), (None, "dots", "bands"), 1.6, 2.4)
    )
    pen.ellipse(0, -0.38, 0.36, 0.13, shade(colour, 0.7))
    pen.ellipse(0, -0.56, 0.13, 0.13, shade(colour, 0.7))


@shape("table lamp", ("yellow", "cream", "red", "green"), spin=10)
def _table_lamp(pen: Pen, rng: Rng, colour: Colour) -> None:
    metal = jitter(rng, COLOURS[pick(rng, ("brown", "grey", "black"))])
    pen.line([(0, 0), (0, 0.85)], 0.13, metal)
    pen.poly([(-0.45, 1.0), (-0.3, 0.82), (0.3, 0.82), (0.45, 1.0)], metal)
    look = surface(rng, shade(colour, 0.75), (None, "stripes"), 2.4, 3.5)
    pen.poly([(-0.38, -0.95), (0.38, -0.95), (0.8, 0.1), (-0.8, 0.1)], colour, look)


@shape("clock", ("white", "cream", "sky blue", "black"), spin=15)
def _clock(pen: Pen, rng: Rng, colour: Colour) -> None:
    rim = _second(rng)
    pen.ellipse(0, 0, 0.95, 0.95, rim)
    pen.ellipse(0, 0, 0.78, 0.78, colour)
    ink = COLOURS["black"] if sum(colour) > 300 else COLOURS["white"]
    for i in range(12):
        a = 2 * math.pi * i / 12
        pen.line(
            [(0.6 * math.cos(a), 0.6 * math.sin(a)), (0.7 * math.cos(a), 0.7 * math.sin(a))],
            0.07,
            ink,
        )
    for length, width in ((0.35, 0.11), (0.56, 0.07)):
        a = rng.uniform(0, 2 * math.pi)
        pen.line([(0, 0), (length * math.cos(a), length * math.sin(a))], width, ink)


@shape("umbrella", ("red", "blue", "purple", "yellow", "black"), spin=30)
def _umbrella(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line([(0, -0.9), (0, 0.8), (0.12, 0.92), (0.28, 0.8)], 0.09, COLOURS["brown"])
    second = pick(rng, (shade(colour, 0.75), _second(rng)))
    radius = 0.98
    for i in range(6):
        t = np.linspace(math.pi * (1 + i / 6), math.pi * (1 + (i + 1) / 6), 5)
        edge = np.stack([radius * np.cos(t), radius * np.sin(t) + 0.1], 1)
        wedge = [(0.0, 0.0 if 0 < i < 5 else 0.1), *edge]
        pen.poly(wedge, colour if i % 2 else second)


@shape("candle", ("white", "red", "cream", "pink"), spin=10)
def _candle(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.ellipse(0, 0.9, 0.6, 0.13, jitter(rng, COLOURS["grey"]))
    look = surface(rng, shade(colour, 0.8), (None, "bands", "shine"), 1.2, 2.0)
    pen.rect(-0.27, -0.3, 0.27, 0.9, colour, look)
    pen.line([(0, -0.3), (0, -0.5)], 0.06, COLOURS["black"])
    pen.poly([(-0.17, -0.55), (0, -1.0), (0.17, -0.55), (0, -0.4)], COLOURS["orange"])
    pen.poly([(-0.08, -0.55), (0, -0.8), (0.08, -0.55), (0, -0.45)], COLOURS["yellow"])


@shape("ice cream", ("pink", "cream", "brown", "lime", "sky blue"), spin=25)
def _ice_cream(pen: Pen, rng: Rng, colour: Colour) -> None:
    cone = ("checks", shade(COLOURS["tan"], 0.75), rng.uniform(3.5, 5), rng.uniform(0, 1))
    pen.poly([(-0.45, 0.0), (0.45, 0.0), (0, 1.0)], COLOURS["tan"], cone)
    other = jitter(rng, COLOURS[pick(rng, ("pink", "cream", "brown"))])
    pen.ellipse(-0.26, -0.2, 0.36, 0.34, colour)
    pen.ellipse(0.26, -0.2, 0.36, 0.34, other)
    pen.ellipse(0, -0.6, 0.36, 0.36, colour)


@shape("doughnut", ("pink", "brown", "white", "sky blue"), spin=40)
def _doughnut(pen: Pen, rng: Rng, colour: Colour) -> None:
    ring = circle_points(0, 0, 0.65, 0.62)
    pen.line(ring, 0.6, jitter(rng, COLOURS["tan"], 10), closed=True)
    pen.line(ring, 0.42, colour, closed=True)
    for _ in range(int(rng.integers(8, 16))):
        a, r = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 0.8)
        x, y = r * math.cos(a), r * math.sin(a)
        fleck = COLOURS[pick(rng, ("yellow", "red", "blue", "green", "white"))]
        pen.line([(x, y), (x + 0.1, y + rng.uniform(-0.1, 0.1))], 0.07, fleck)


@shape("pizza", ("yellow", "orange", "cream"), spin=30)
def _pizza(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.poly([(-0.85, -0.6), (0.85, -0.6), (0, 1.0)], colour)
    pen.line([(-0.85, -0.68), (0, -0.85), (0.85, -0.68)], 0.26, shade(COLOURS["brown"], 1.3))
    for x, y in ((-0.35, -0.3), (0.3, -0.25), (0.0, 0.2), (0.05, 0.6)):
        r = rng.uniform(0.13, 0.19)
        pen.ellipse(x, y, r, r, jitter(rng, COLOURS["red"]))
    pen.ellipse(-0.12, -0.02, 0.08, 0.05, COLOURS["green"])


@shape("fried egg", ("white", "cream"), spin=40)
def _fried_egg(pen: Pen, rng: Rng, colour: Colour) -> None:
    n = 9
    radii = rng.uniform(0.75, 1.0, n)
    t = np.linspace(0, 2 * math.pi, 36, endpoint=False)
    wave = np.interp(t, np.linspace(0, 2 * math.pi, n + 1), np.append(radii, radii[0]))
    pen.poly(np.stack([wave * np.cos(t), 0.85 * wave * np.sin(t)], 1), colour)
    x, y = rng.uniform(-0.15, 0.15, 2)
    pen.ellipse(x, y, 0.36, 0.34, jitter(rng, COLOURS[pick(rng, ("yellow", "orange"))], 12))
    pen.ellipse(x - 0.1, y - 0.1, 0.08, 0.06, COLOURS["white"])


@shape("lollipop", ("red", "pink", "lime", "purple", "orange"), spin=40)
def _lollipop(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line([(0, 0.1), (0, 1.0)], 0.11, COLOURS["cream"])
    pen.ellipse(0, -0.38, 0.6, 0.6, colour)
    t = np.linspace(0, 4.5 * math.pi, 40)
    r = 0.55 * t / t[-1]
    start = rng.uniform(0, 2 * math.pi)
    coil = np.stack([r * np.cos(t + start), r * np.sin(t + start) - 0.38], 1)
    pen.line(coil, 0.11, COLOURS["white"])


@shape("hamburger", ("tan", "orange", "brown"), spin=15)
def _hamburger(pen: Pen, rng: Rng, colour: Colour) -> None:
    t = np.linspace(math.pi, 2 * math.pi, 16)
    pen.rect(-0.85, 0.5, 0.85, 0.8, colour)
    pen.rect(-0.92, 0.22, 0.92, 0.52, shade(COLOURS["brown"], 0.65))
    pen.poly(
        [(-1, 0.1), (1, 0.1), (0.7, 0.3), (0.4, 0.15), (0, 0.34), (-0.5, 0.15)], COLOURS["yellow"]
    )
    pen.rect(-0.95, -0.08, 0.95, 0.12, jitter(rng, COLOURS["lime"]))
    pen.poly(np.stack([0.88 * np.cos(t), 0.75 * np.sin(t) - 0.05], 1), colour)
    for x, y in ((-0.4, -0.4), (0.0, -0.55), (0.4, -0.4), (0.15, -0.28), (-0.2, -0.25)):
        pen.ellipse(x, y, 0.06, 0.04, COLOURS["cream"])
