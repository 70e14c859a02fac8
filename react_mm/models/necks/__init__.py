"""Necks for plain (single-scale) image towers."""

from react_mm.models.necks.simple_fpn import SimpleFPN

__all__ = ["SimpleFPN"]
