"""Buildings."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator


@shape("house", ("cream", "red", "yellow", "sky blue", "tan"), spin=8)
def _house(pen: Pen, rng: Rng, colour: Colour) -> None:
    roof = jitter(rng, COLOURS[pick(rng, ("red", "brown", "grey"))])
    pen.rect(0.35, -0.9, 0.55, -0.4, shade(roof, 0.7))
    pen.rect(
        -0.75, -0.15, 0.75, 0.9, colour, surface(rng, shade(colour, 0.8), (None, "bands"), 3, 5)
    )
    pen.poly([(-0.95, -0.1), (0, -0.9), (0.95, -0.1)], roof)
    pen.rect(-0.15, 0.3, 0.2, 0.9, COLOURS["brown"])
    for x in (-0.58, 0.35):
        pen.rect(x, 0.1, x + 0.27, 0.4, COLOURS["sky blue"])


@shape("lighthouse", ("red", "blue", "black", "orange"), spin=8)
def _lighthouse(pen: Pen, rng: Rng, colour: Colour) -> None:
    bands = ("bands", colour, rng.uniform(1.4, 2.2), rng.uniform(0, 1))
    pen.poly([(-0.28, -0.5), (0.28, -0.5), (0.45, 1.0), (-0.45, 1.0)], COLOURS["white"], bands)
    pen.rect(-0.36, -0.56, 0.36, -0.45, COLOURS["black"])
    pen.rect(-0.2, -0.8, 0.2, -0.55, COLOURS["yellow"])
    pen.poly([(-0.3, -0.8), (0, -1.0), (0.3, -0.8)], shade(colour, 0.8))


@shape("windmill", ("white", "cream", "tan", "brown"), spin=8)
def _windmill(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.poly([(-0.25, -0.3), (0.25, -0.3), (0.48, 1.0), (-0.48, 1.0)], colour)
    pen.poly([(-0.32, -0.28), (0, -0.65), (0.32, -0.28)], COLOURS["brown"])
    pen.rect(-0.12, 0.6, 0.12, 1.0, COLOURS["black"])
    blade = jitter(rng, COLOURS[pick(rng, ("grey", "red", "brown"))])
    start = rng.uniform(0, 90)
    for i in range(4):
        a = math.radians(start + 90 * i)
        ca, sa = math.cos(a), math.sin(a)
        quad = [(0.05, 0), (0.95, 0), (0.95, 0.22), (0.2, 0.2)]
        pen.poly([(x * ca - y * sa, x * sa + y * ca - 0.3) for x, y in quad], blade)


@shape("tent", ("orange", "green", "blue", "red", "tan"), spin=8)
def _tent(pen: Pen, rng: Rng, colour: Colour) -> None:
    stripes = surface(rng, shade(colour, 0.7), (None, "stripes", "bands"), 1.5, 3)
    pen.line([(-0.12, -0.95), (0.05, -0.65)], 0.07, COLOURS["brown"])
    pen.line([(0.12, -0.95), (-0.05, -0.65)], 0.07, COLOURS["brown"])
    pen.poly([(-1.0, 0.8), (0, -0.75), (1.0, 0.8)], colour, stripes)
    pen.poly([(-0.32, 0.8), (0, -0.1), (0.32, 0.8)], shade(COLOURS["black"], 1.1))
    pen.poly([(0.32, 0.8), (0, -0.1), (0.5, 0.8)], shade(colour, 1.5))


@shape("castle", ("grey", "tan", "pink", "white"), spin=8)
def _castle(pen: Pen, rng: Rng, colour: Colour) -> None:
    bricks = surface(rng, shade(colour, 0.82), (None, "checks"), 4, 6)
    pen.rect(-0.6, -0.1, 0.6, 0.9, colour, bricks)
    for x in (-0.3, 0.0, 0.3):
        pen.rect(x - 0.1, -0.3, x + 0.1, -0.08, colour)
    flag = jitter(rng, COLOURS[pick(rng, ("red", "blue", "green"))])
    for x in (-0.75, 0.75):
        pen.rect(x - 0.24, -0.5, x + 0.24, 0.9, shade(colour, 0.9))
        pen.poly([(x - 0.3, -0.5), (x, -1.0), (x + 0.3, -0.5)], flag)
        pen.rect(x - 0.06, -0.2, x + 0.06, 0.05, COLOURS["black"])
    pen.rect(-0.2, 0.35, 0.2, 0.9, COLOURS["brown"])


@shape("igloo", ("white", "sky blue", "grey"), spin=8)
def _igloo(pen: Pen, rng: Rng, colour: Colour) -> None:
    t = np.linspace(math.pi, 2 * math.pi, 20)
    dome = np.stack([np.cos(t), 1.15 * np.sin(t) + 0.55], 1)
    pen.poly(
        dome, colour, ("checks", shade(colour, 0.84), rng.uniform(2.2, 3.4), rng.uniform(0, 1))
    )
    t = np.linspace(math.pi, 2 * math.pi, 12)
    x = rng.uniform(-0.3, 0.3)
    pen.poly(np.stack([x + 0.42 * np.cos(t), 0.62 * np.sin(t) + 0.6], 1), shade(colour, 0.9))
    pen.poly(np.stack([x + 0.28 * np.cos(t), 0.45 * np.sin(t) + 0.6], 1), COLOURS["navy"])
