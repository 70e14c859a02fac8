"""The table from concept name to drawing routine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from react_mm.toy.drawing import Colour, Pen

__all__ = ["SHAPES", "Shape", "pick", "shape", "surface"]


@dataclass(frozen=True)
class Shape:
    """How one concept is drawn.

    Attributes:
        draw: ``draw(pen, rng, colour)`` fills the frame [-1, 1]^2.
        colours: Colour words of the main part, the first ones more often.
        spin: Largest rotation in degrees either way; 180 means any direction.
    """

    draw: Callable[[Pen, np.random.Generator, Colour], None]
    colours: tuple[str, ...]
    spin: float


SHAPES: dict[str, Shape] = {}


def shape(name: str, colours: tuple[str, ...], spin: float = 18.0) -> Callable:
    """Register a drawing routine for the concept ``name``."""

    def register(draw: Callable) -> Callable:
        SHAPES[name] = Shape(draw, colours, spin)
        return draw

    return register


def pick(rng: np.random.Generator, options: tuple) -> object:
    """Return one of ``options`` with equal chance."""
    return options[int(rng.integers(len(options)))]


def surface(
    rng: np.random.Generator, colour: Colour, kinds: tuple[str | None, ...], low=1.5, high=3.5
) -> tuple | None:
    """Return a random texture (see :meth:`Pen.poly`) or None.

    Args:
        rng: Random generator.
        colour: Second colour of the texture.
        kinds: Texture kinds to choose from; None for plain.
        low: Smallest frequency in cycles per frame unit.
        high: Largest frequency.
    """
    kind = pick(rng, kinds)
    if kind is None:
        return None
    return (kind, colour, float(rng.uniform(low, high)), float(rng.uniform(0, 1)))
