"""What embedding asks of an encoder, and the settings that decide its bytes."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from react_mm.retrieval.decoding import Limits


class Encoder(Protocol):
    """What retrieval asks of a model; built by ``react_mm.apis.encoder`` or by the user.

    Attributes:
        identity: JSON-like: architecture, weights_hash, preprocessing, normalisation, dimension.
        dimension: Length D of an embedding.
    """

    identity: dict[str, Any]
    dimension: int

    def prepare(self, image: Any) -> np.ndarray:
        """Resize and crop a PIL RGB image: uint8 (3, H, W); called from several threads."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Embed uint8 (B, 3, H, W): float32 (B, D), L2-normalised."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Embed N texts: float32 (N, D), L2-normalised."""


@dataclasses.dataclass(frozen=True)
class EmbedSettings:
    """How a pool is embedded; everything here that changes bytes is in the manifest.

    Attributes:
        batch_size: Slots per batch; batches are cut by absolute position inside a unit.
        folder_slice: Images per unit of an image folder.
        workers: Threads that read and decode; no influence on the result.
        on_change: What to do with embeddings made with other settings or another encoder: 'refuse'
            or 'redo'.
        max_pixels, min_side, max_aspect, max_caption: See :class:`~.decoding.Limits`.
    """

    batch_size: int = 64
    folder_slice: int = 1000
    workers: int = 2
    on_change: str = "refuse"
    max_pixels: int = Limits.max_pixels
    min_side: int = Limits.min_side
    max_aspect: float = Limits.max_aspect
    max_caption: int = Limits.max_caption

    def __post_init__(self) -> None:
        for name in ("batch_size", "folder_slice", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"embed.{name} must be 1 or more, not {getattr(self, name)}")
        if self.on_change not in ("refuse", "redo"):
            raise ValueError(f"embed.on_change must be 'refuse' or 'redo', not {self.on_change!r}")

    @property
    def limits(self) -> Limits:
        """The limits on a sample."""
        return Limits(self.max_pixels, self.min_side, self.max_aspect, self.max_caption)

    def recorded(self) -> dict[str, Any]:
        """The settings that decide the bytes of a unit."""
        settings = dataclasses.asdict(self)
        for name in ("workers", "on_change"):
            del settings[name]
        return settings
