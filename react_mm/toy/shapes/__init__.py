"""Drawing routines, one module per one or two families; importing fills ``SHAPES``."""

from react_mm.toy.shapes import built, garden, home, nature, sea, travel
from react_mm.toy.shapes.registry import SHAPES, Shape

__all__ = ["SHAPES", "Shape", "built", "garden", "home", "nature", "sea", "travel"]
