"""Fruit and plants."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator


def _green(rng: Rng) -> Colour:
    return jitter(rng, COLOURS["green"], 20)


@shape("strawberry", ("red", "pink", "orange"), spin=40)
def _strawberry(pen: Pen, rng: Rng, colour: Colour) -> None:
    body = [(-0.8, -0.35), (-0.45, -0.62), (0.45, -0.62), (0.8, -0.35), (0.62, 0.25), (0.0, 1.0)]
    body.append((-0.62, 0.25))
    pen.poly(body, colour, ("dots", COLOURS["cream"], rng.uniform(2.2, 3.2), rng.uniform(0, 1)))
    leaf = _green(rng)
    for x in (-0.55, 0.0, 0.55):
        pen.poly([(x - 0.3, -0.95), (x + 0.3, -0.95), (x, -0.3)], leaf)


@shape("banana", ("yellow", "lime", "brown"), spin=40)
def _banana(pen: Pen, rng: Rng, colour: Colour) -> None:
    t = np.linspace(0.15 * math.pi, 0.95 * math.pi, 14)
    bend = rng.uniform(0.35, 0.55)
    outer = np.stack([np.cos(t), np.sin(t) - 0.45], 1)
    inner = np.stack([0.92 * np.cos(t), bend * np.sin(t) - 0.35], 1)[::-1]
    pen.poly(np.concatenate([outer, inner]), colour, surface(rng, colour, (None, "shine"), 1, 1))
    for x, y in (outer[0], outer[-1]):
        pen.ellipse(x, y, 0.12, 0.1, shade(COLOURS["brown"], 0.7))


@shape("watermelon", ("red", "pink", "orange"), spin=30)
def _watermelon(pen: Pen, rng: Rng, colour: Colour) -> None:
    for radius, fill in ((1.0, _green(rng)), (0.86, COLOURS["cream"]), (0.78, colour)):
        t = np.linspace(0, math.pi, 18)
        pen.poly(np.stack([radius * np.cos(t), radius * np.sin(t) - 0.45], 1), fill)
    for _ in range(int(rng.integers(5, 10))):
        a, r = rng.uniform(0.15, 0.85) * math.pi, rng.uniform(0.2, 0.65)
        pen.ellipse(r * math.cos(a), r * math.sin(a) - 0.42, 0.05, 0.09, COLOURS["black"])


@shape("grape", ("purple", "lime", "navy"), spin=25)
def _grape(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line([(0.0, -1.0), (0.0, -0.5)], 0.12, COLOURS["brown"])
    for row, n in enumerate((4, 3, 2, 1)):
        for i in range(n):
            x, y = (i - (n - 1) / 2) * 0.46, -0.5 + row * 0.42
            berry = shade(colour, rng.uniform(0.75, 1.2))
            pen.ellipse(x, y, 0.27, 0.27, berry)
            pen.ellipse(x - 0.08, y - 0.08, 0.07, 0.07, shade(berry, 1.6))


@shape("pineapple", ("yellow", "orange", "tan"), spin=25)
def _pineapple(pen: Pen, rng: Rng, colour: Colour) -> None:
    leaf = _green(rng)
    for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
        pen.poly([(x * 0.4 - 0.12, -0.25), (x * 0.4 + 0.12, -0.25), (x, -1.0 + abs(x) * 0.5)], leaf)
    mesh = ("checks", shade(colour, 0.65), rng.uniform(3, 4.2), rng.uniform(0, 1))
    pen.ellipse(0, 0.35, 0.52, 0.65, colour, 0, mesh)


@shape("cherry", ("red", "purple", "pink"), spin=25)
def _cherry(pen: Pen, rng: Rng, colour: Colour) -> None:
    stem = shade(_green(rng), 0.7)
    for x in (-0.5, 0.5):
        pen.line([(0.1, -0.95), (x * 0.6, -0.3), (x, 0.4)], 0.09, stem)
    pen.ellipse(0.5, -0.8, 0.42, 0.18, _green(rng), 15)
    for x, y in ((-0.5, 0.5), (0.5, 0.6)):
        pen.ellipse(x, y, 0.42, 0.4, colour)
        pen.ellipse(x - 0.14, y - 0.14, 0.1, 0.1, shade(colour, 1.6))


@shape("cactus", ("green", "teal", "lime"), spin=12)
def _cactus(pen: Pen, rng: Rng, colour: Colour) -> None:
    ribs = surface(rng, shade(colour, 0.65), (None, "stripes"), 4, 6)
    for side in (-1, 1):
        y = rng.uniform(-0.1, 0.25)
        pen.line([(0, y), (side * 0.6, y), (side * 0.6, y - 0.5)], 0.28, colour)
    pen.poly([(-0.24, 0.6), (-0.24, -0.8), (0, -1.0), (0.24, -0.8), (0.24, 0.6)], colour, ribs)
    pot = jitter(rng, COLOURS[pick(rng, ("brown", "orange", "red"))])
    pen.poly([(-0.55, 0.5), (0.55, 0.5), (0.4, 1.0), (-0.4, 1.0)], pot)


@shape("mushroom", ("red", "brown", "orange", "tan"), spin=20)
def _mushroom(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.poly([(-0.25, -0.1), (0.25, -0.1), (0.34, 0.95), (-0.34, 0.95)], COLOURS["cream"])
    t = np.linspace(math.pi, 2 * math.pi, 18)
    cap = np.stack([np.cos(t), np.sin(t) * 0.95 + 0.05], 1)
    pen.poly(cap, colour, surface(rng, COLOURS["white"], ("dots", "dots", None), 1.4, 2.2))


@shape("daisy", ("white", "pink", "purple", "sky blue"), spin=20)
def _daisy(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line([(0, 0), (0.05, 1.0)], 0.1, _green(rng))
    n = int(rng.integers(8, 12))
    for i in range(n):
        a = 2 * math.pi * i / n
        x, y = 0.42 * math.cos(a), 0.42 * math.sin(a) - 0.3
        pen.ellipse(x, y, 0.3, 0.12, colour, math.degrees(a))
    pen.ellipse(0, -0.3, 0.24, 0.24, jitter(rng, COLOURS["yellow"]))


@shape("fir tree", ("green", "teal", "lime", "white"), spin=10)
def _fir_tree(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.rect(-0.14, 0.6, 0.14, 1.0, COLOURS["brown"])
    for i, (top, low) in enumerate(((0.0, 0.7), (-0.45, 0.25), (-1.0, -0.25))):
        half = 0.8 - 0.2 * i
        tone = shade(colour, rng.uniform(0.75, 1.1))
        pen.poly([(-half, low), (half, low), (0, top - 0.15)], tone)


@shape("tulip", ("red", "yellow", "pink", "purple"), spin=15)
def _tulip(pen: Pen, rng: Rng, colour: Colour) -> None:
    leaf = _green(rng)
    pen.line([(0, 0), (0, 1.0)], 0.12, leaf)
    pen.ellipse(-0.35, 0.6, 0.14, 0.5, leaf, -30)
    pen.ellipse(0.35, 0.6, 0.14, 0.5, leaf, 30)
    cup = [(-0.5, -0.9), (-0.22, -0.5), (0, -1.0), (0.22, -0.5), (0.5, -0.9), (0.45, -0.1)]
    pen.poly([*cup, (0, 0.15), (-0.45, -0.1)], colour)


@shape("clover", ("green", "lime", "teal"), spin=40)
def _clover(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.line([(0, 0), (0.25, 1.0)], 0.1, shade(colour, 0.7))
    n = int(rng.integers(3, 5))
    for i in range(n):
        a = 2 * math.pi * i / n - math.pi / 2
        x, y = 0.42 * math.cos(a), 0.42 * math.sin(a) - 0.15
        pen.ellipse(x, y, 0.38, 0.34, colour)
        pen.line([(0, -0.15), (x, y)], 0.06, shade(colour, 1.5))
