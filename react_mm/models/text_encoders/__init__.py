"""Text towers."""

from .clip_text import CLIPText

__all__ = ["CLIPText"]
