"""Ready-made entry points; nothing heavy is imported before it is asked for."""

from typing import Any

__all__ = ["Inferencer"]


def __getattr__(name: str) -> Any:
    if name == "Inferencer":
        from react_mm.apis.inferencer import Inferencer

        return Inferencer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
