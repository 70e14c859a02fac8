"""Who is foreground and who background while training (needs mmdet)."""

from react_mm.models.assigners.ignored_boxes import IgnoringATSSAssigner, IgnoringMaxIoUAssigner

__all__ = ["IgnoringATSSAssigner", "IgnoringMaxIoUAssigner"]
