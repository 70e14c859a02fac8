"""Sea animals."""

from __future__ import annotations

import math

import numpy as np

from react_mm.toy.drawing import COLOURS, Colour, Pen, jitter, shade
from react_mm.toy.shapes.registry import pick, shape, surface

Rng = np.random.Generator


def _eye(pen: Pen, x: float, y: float, r: float = 0.12) -> None:
    pen.ellipse(x, y, r, r, COLOURS["white"])
    pen.ellipse(x, y, r * 0.55, r * 0.55, COLOURS["black"])


@shape("fish", ("orange", "yellow", "blue", "red", "teal"), spin=30)
def _fish(pen: Pen, rng: Rng, colour: Colour) -> None:
    pen.poly([(0.45, 0), (1.0, -0.5), (0.85, 0), (1.0, 0.5)], shade(colour, 0.8))
    pen.poly([(-0.2, -0.35), (0.1, -0.75), (0.35, -0.3)], shade(colour, 0.8))
    second = jitter(rng, COLOURS[pick(rng, ("white", "black", "yellow"))])
    scales = surface(rng, second, (None, "stripes", "shine"), 1.3, 2.0)
    pen.ellipse(-0.2, 0, 0.78, 0.45, colour, 0, scales)
    _eye(pen, -0.62, -0.1)


@shape("octopus", ("purple", "orange", "pink", "red"), spin=20)
def _octopus(pen: Pen, rng: Rng, colour: Colour) -> None:
    wave = rng.uniform(0.05, 0.2)
    for i in range(6):
        x = -0.75 + 0.3 * i
        swing = wave if i % 2 else -wave
        arm = [(x * 0.55, 0.0), (x * 0.9 + swing, 0.45), (x - swing, 0.7), (x * 1.2 + swing, 0.98)]
        pen.line(arm, 0.17, shade(colour, 0.85))
    pen.ellipse(0, -0.35, 0.6, 0.62, colour, 0, surface(rng, colour, (None, "shine"), 1, 1))
    _eye(pen, -0.22, -0.2, 0.15)
    _eye(pen, 0.22, -0.2, 0.15)


@shape("starfish", ("orange", "red", "purple", "tan", "pink"), spin=40)
def _starfish(pen: Pen, rng: Rng, colour: Colour) -> None:
    inner = rng.uniform(0.36, 0.46)
    points = []
    for i in range(20):
        radius = (1.0, 0.75, inner, 0.75)[i % 4]
        a = 2 * math.pi * (i + (0.25 if i % 4 == 3 else -0.25 if i % 4 == 1 else 0)) / 20
        points.append((radius * math.sin(a), -radius * math.cos(a)))
    dots = surface(rng, shade(colour, 1.5), ("dots", "dots", None), 3, 4.5)
    pen.poly(points, colour, dots)


@shape("crab", ("red", "orange", "blue", "brown"), spin=25)
def _crab(pen: Pen, rng: Rng, colour: Colour) -> None:
    dark = shade(colour, 0.75)
    for side in (-1, 1):
        for y in (0.15, 0.4, 0.6):
            pen.line([(side * 0.4, y), (side * 0.8, y + 0.05), (side * 0.95, y + 0.3)], 0.1, dark)
        pen.line([(side * 0.45, 0.05), (side * 0.8, -0.35)], 0.14, dark)
        pen.ellipse(side * 0.75, -0.6, 0.26, 0.3, colour)
        pen.poly([(side * 0.75, -0.55), (side * 0.5, -1.0), (side * 0.85, -1.0)], dark)
        pen.line([(side * 0.2, 0), (side * 0.22, -0.35)], 0.07, dark)
        _eye(pen, side * 0.22, -0.4)
    pen.ellipse(0, 0.25, 0.62, 0.42, colour)


@shape("jellyfish", ("pink", "purple", "sky blue", "white"), spin=20)
def _jellyfish(pen: Pen, rng: Rng, colour: Colour) -> None:
    for i in range(5):
        x = -0.56 + 0.28 * i
        phase = rng.uniform(0, 2 * math.pi)
        y = np.linspace(0, 1.0, 7)
        tail = np.stack([x + 0.09 * np.sin(7 * y + phase), y], 1)
        pen.line(tail, 0.07, shade(colour, 0.8))
    t = np.linspace(math.pi, 2 * math.pi, 18)
    pen.poly(np.stack([0.85 * np.cos(t), 0.95 * np.sin(t) + 0.05], 1), colour)
    pen.poly(np.stack([0.5 * np.cos(t), 0.6 * np.sin(t) - 0.05], 1), shade(colour, 1.4))


@shape("whale", ("blue", "navy", "grey", "black"), spin=18)
def _whale(pen: Pen, rng: Rng, colour: Colour) -> None:
    for x in (-0.2, 0.2):
        pen.line(
            [(-0.35, -0.3), (-0.35 + x * 0.5, -0.7), (-0.35 + x, -0.9)], 0.09, COLOURS["sky blue"]
        )
    t = np.linspace(math.pi, 2 * math.pi, 16)
    top = np.stack([0.85 * np.cos(t) - 0.1, 0.75 * np.sin(t) + 0.4], 1)
    tail = [(0.75, 0.3), (0.85, -0.2), (0.55, -0.5), (0.9, -0.45), (1.1, -0.6), (1.0, 0.1)]
    pen.poly(tail, colour)
    pen.poly(np.concatenate([top, [(0.55, 0.7), (-0.7, 0.7)]]), colour)
    pen.poly([(-0.9, 0.42), (0.2, 0.5), (0.1, 0.7), (-0.7, 0.7)], COLOURS["white"])
    _eye(pen, -0.6, 0.2, 0.09)
