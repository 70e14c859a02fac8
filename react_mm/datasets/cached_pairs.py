"""Pairs whose images have gone through the frozen part of the tower already."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from react_mm.datasets.images import DamagedImageError, decode_image, to_uint8_chw
from react_mm.datasets.pairs import PairDataset
from react_mm.datasets.prefix_store import PrefixStore, digest_of
from react_mm.registry import DATASETS

FIXED = ("ResizeCenterCrop",)


@DATASETS.register_module()
class CachedPairDataset(PairDataset):
    """:class:`PairDataset` that gives stored tokens in place of pixels.

    Until :class:`react_mm.engine.prefix_cache_hook.PrefixCacheHook` has filled the store, and
    without that hook, items are those of :class:`PairDataset`.

    Args:
        prefix_cache: Folder of the :class:`PrefixStore`; it may be shared by runs and data sets.
        **kwargs: Those of :class:`PairDataset`; the pipeline must draw nothing at random.

    Raises:
        ValueError: If the pipeline has a transform other than ``ResizeCenterCrop``.
    """

    def __init__(self, prefix_cache: str, **kwargs: Any) -> None:
        for transform in kwargs.get("pipeline", ()):
            kind = transform["type"] if isinstance(transform, Mapping) else type(transform).__name__
            if str(kind).rpartition(".")[2] not in FIXED:
                raise ValueError(
                    f"CachedPairDataset: {kind} may change an image from epoch to epoch; a stored "
                    f"prefix allows only {', '.join(FIXED)}. Use PairDataset for augmentation"
                )
        super().__init__(**kwargs)
        self.prefix_cache = prefix_cache
        self._store: PrefixStore | None = None
        self._digests: list[str] = []

    def fill_prefix_cache(self, encode: Any, identity: str, batch_size: int = 32) -> int:
        """Computes the tokens of every image that the store lacks, then serves from the store.

        Args:
            encode: uint8 (B, 3, H, W) -> float (B, N, C).
            identity: Names the prefix, see :class:`PrefixStore`.
            batch_size: Images encoded at once.

        Returns:
            How many images were computed.

        Raises:
            DamagedImageError: If an image cannot be decoded; the message names it.
        """
        described = f"{identity}|{[repr(getattr(t, 'transform', t)) for t in self.transforms]}"
        store = PrefixStore(self.prefix_cache, described)
        digests = [digest_of(self._read(index)) for index in range(len(self))]
        images = ((d, lambda i=i: self._pixels(i)) for i, d in enumerate(digests))
        count = store.fill(images, encode, batch_size)
        self._store, self._digests = store, digests
        return count

    def _pixels(self, index: int) -> np.ndarray:
        try:
            results = {"image": decode_image(self._read(index))}
        except DamagedImageError as error:
            raise DamagedImageError(
                f"{self.key(index)}: {error}; a stored prefix has no replacement for it: leave it "
                "out (tools/retrieve.py does), or use PairDataset"
            ) from error
        for transform in self.transforms:
            results = transform(results)
        return to_uint8_chw(results["image"]).numpy()

    def __getitem__(self, position: int | tuple[int, ...]) -> dict[str, Any]:
        """As :meth:`PairDataset.__getitem__`; ``inputs`` are float16 tokens (N, C)."""
        if self._store is None:
            return super().__getitem__(position)
        _, index, *_ = position if isinstance(position, tuple) else (0, int(position))
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        tokens = torch.from_numpy(np.array(self._store[self._digests[index]]))
        return {"inputs": tokens, **self._fields(index, position)}
