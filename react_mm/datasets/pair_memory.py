"""A retrieval folder as the memory that RECO's models are handed, built from a config."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from react_mm.registry import DATASETS
from react_mm.retrieval.memory import Neighbours, RetrievalMemory


@DATASETS.register_module()
class PairMemory:
    """Image-text pairs of a ``tools/retrieve.py`` folder, searched by embeddings.

    Args:
        folder: Its work dir, with ``embeddings/`` and ``index/``.
        exclude: Pairs whose image path has one of these in it are left out.
        exclude_captions: The same for words in the caption.
        deepest: See :class:`react_mm.retrieval.memory.RetrievalMemory`.

    Attributes:
        memory: The memory.

    Raises:
        FileNotFoundError, ValueError, react_mm.manifest.ManifestError: As there.
    """

    def __init__(
        self,
        folder: str,
        exclude: Sequence[str] = (),
        exclude_captions: Sequence[str] = (),
        deepest: int = 2048,
    ) -> None:
        self.memory = RetrievalMemory(folder, exclude, deepest, exclude_captions)

    @property
    def digest(self) -> str:
        """sha256 of what the memory holds."""
        return self.memory.digest

    def __len__(self) -> int:
        return self.memory.rows

    def __call__(
        self,
        embeddings: np.ndarray,
        k: int,
        side: str,
        search: str = "uni",
        fuse: str = "cross",
    ) -> Neighbours:
        """See :meth:`react_mm.retrieval.memory.RetrievalMemory.search`."""
        return self.memory.search(embeddings, k, side, search, fuse)

    def check_encoder(self, identity: dict[str, Any]) -> None:
        """Refuses another encoder than the one that filled the memory.

        Raises:
            react_mm.manifest.ManifestError: Naming both.
        """
        self.memory.check_encoder(identity)

    def describe(self) -> dict[str, Any]:
        """What a card says of the memory."""
        return self.memory.describe()

    def captions(self, rows: np.ndarray) -> list[str]:
        """Captions of rows, int64 (N,)."""
        return self.memory.captions(rows)
