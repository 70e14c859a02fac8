"""Stored embeddings of pairs with those of their neighbours in a memory: what RECO trains on."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from react_mm.datasets.pair_memory import PairMemory
from react_mm.registry import DATASETS
from react_mm.retrieval.memory import image_ids, modality_of, texts_with
from react_mm.retrieval.neighbours import NeighbourSettings, neighbours_of
from react_mm.retrieval.stored_embeddings import MODALITIES, StoredEmbeddings

PARTS = ("all", "train", "held-out")
_BUCKETS = 1 << 16


@DATASETS.register_module()
class RecoFeatures(Dataset):
    """Pairs as (image, text) embeddings with neighbours of both; no image is decoded.

    Neighbours are searched once and cached (:func:`react_mm.retrieval.neighbours.neighbours_of`);
    embeddings are read from memory-mapped files. Left out of a pair's neighbours: every pair of the
    same picture, itself included, and near-duplicates.

    Args:
        pairs: Work dir of ``tools/retrieve.py`` whose embedded pool are the training pairs.
        memory: Where the neighbours are: a config of :class:`react_mm.PairMemory` (``folder`` and
            so on) or its folder; None: ``pairs`` itself.
        k: Neighbours per pair and side.
        search: 'uni' or 'cross', as the model's.
        fuse: 'cross' or 'uni', as the model's.
        duplicate_image: See :class:`react_mm.retrieval.neighbours.NeighbourSettings`.
        duplicate_text: As there.
        part: ``train`` or ``held-out`` by the pictures' content (equal pictures stay together), or
            ``all``.
        held_out: Share of the pictures that is held out.
        exclude: Pairs whose image path has one of these in it are not trained on.
        limit: Keep this many pairs, drawn by ``seed``.
        seed: See ``limit``.
        cache_dir: Of the neighbours; default ``<pairs>/neighbours``.

    Raises:
        ValueError: If no pair is left or an argument does not fit.
        react_mm.manifest.ManifestError: If pairs and memory are of two encoders, or incomplete.
    """

    def __init__(
        self,
        pairs: str,
        memory: str | Mapping[str, Any] | None = None,
        k: int = 10,
        search: str = "uni",
        fuse: str = "cross",
        duplicate_image: float | None = 0.98,
        duplicate_text: float | None = None,
        part: str = "all",
        held_out: float = 0.05,
        exclude: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        if part not in PARTS or not 0 < held_out < 1:
            raise ValueError(
                f"RecoFeatures: part={part!r} is one of {', '.join(PARTS)}, held_out={held_out} "
                "lies between 0 and 1"
            )
        self.store = StoredEmbeddings(Path(pairs) / "embeddings")
        options = {"folder": pairs} if memory is None else memory
        options = {"folder": options} if isinstance(options, str) else dict(options)
        options.pop("type", None)
        self.memory = PairMemory(**options).memory
        self.fuse = fuse
        settings = NeighbourSettings(k, search, duplicate_image, duplicate_text)
        folder = Path(cache_dir or Path(pairs) / "neighbours")
        self._neighbours = {
            side: neighbours_of(self.store, self.memory, side, settings, folder)
            for side in MODALITIES
        }
        everything = self.store.metadata(np.arange(self.store.rows))
        self.rows = self._choose(part, held_out, everything["image_path"], exclude, limit, seed)
        self.keys = everything["key"].to_pylist()
        captions = everything["caption"].to_pylist()
        self.caption_ids = np.array([_number(text) for text in captions], np.int64)
        self.metainfo = {
            "sources": [str(pairs)],
            "num_pairs": len(self.rows),
            "card": {
                "encoder": self.store.identity,
                "memory": self.memory.describe(),
                "neighbours": {"k": k, "search": search, "fuse": fuse, "image": duplicate_image}
                | {"text": duplicate_text},
            },
        }

    def _choose(
        self,
        part: str,
        held_out: float,
        paths: Any,
        exclude: Sequence[str],
        limit: int | None,
        seed: int,
    ) -> np.ndarray:
        """Rows of this part, int64, ascending."""
        kept = ~texts_with(paths, exclude)
        if part != "all":
            out = image_ids(self.store) % _BUCKETS < round(held_out * _BUCKETS)
            kept &= out if part == "held-out" else ~out
        rows = np.flatnonzero(kept)
        if limit is not None and limit < len(rows):
            rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
        if not len(rows):
            raise ValueError(
                f"{self.store.folder}: no pair is left of {self.store.rows} for part={part!r}, "
                f"exclude={list(exclude)}"
            )
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int | tuple[int, ...]) -> dict[str, Any]:
        """One pair; see :meth:`__getitems__`."""
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int | tuple[int, ...]]) -> list[dict[str, Any]]:
        """Pairs of a batch, read at once.

        Args:
            positions: Indices, or (epoch, index) of :class:`react_mm.PairSampler`.

        Returns:
            Per pair, for each side S of image and text: ``S`` float32 (D,), ``S_neighbours``
            float32 (k, D), ``S_scores`` float32 (k,), ``S_there`` bool (k,); ``caption_id`` int64,
            equal for equal captions; ``key`` str.
        """
        numbers = [p[1] if isinstance(p, tuple) else int(p) for p in positions]
        rows = self.rows[np.asarray(numbers, np.int64)]
        batch: dict[str, Any] = {"caption_id": torch.from_numpy(self.caption_ids[rows])}
        for side in MODALITIES:
            found = self._neighbours[side]
            near = np.asarray(found.rows[rows])
            values = self.memory.values(near, modality_of(side, self.fuse))
            batch[side] = torch.from_numpy(self.store.take(side, rows))
            batch[f"{side}_neighbours"] = torch.from_numpy(values)
            batch[f"{side}_scores"] = torch.from_numpy(np.array(found.scores[rows]))
            batch[f"{side}_there"] = torch.from_numpy(near >= 0)
        return [
            {name: value[i] for name, value in batch.items()} | {"key": self.keys[row]}
            for i, row in enumerate(rows)
        ]


def _number(text: str) -> int:
    """A number of 63 bits that equal texts share."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
