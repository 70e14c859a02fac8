# ruff: noqa: NPY002 (timm and torchvision draw from the global generators)
"""Image-text pairs as a map-style dataset with random access and reproducible augmentation."""

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from mmengine.logging import print_log
from torch.utils.data import Dataset

from react_mm.datasets.images import DamagedImageError, decode_image, to_uint8_chw
from react_mm.datasets.pair_sources import ROLES, PairSource
from react_mm.datasets.pair_texts import PairTexts
from react_mm.datasets.tar_index import TarReader
from react_mm.registry import DATASETS, TRANSFORMS

MAX_REPLACEMENTS = 100


@contextmanager
def seeded(*entropy: int):
    """Seeds ``random``, ``numpy.random`` and ``torch`` inside the block and restores them after it.

    The state depends on ``entropy`` alone, so what is drawn does not depend on workers, on the
    order of calls, or on an interruption.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence([abs(int(e)) for e in entropy]).generate_state(3, np.uint32)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@DATASETS.register_module()
class PairDataset(Dataset):
    """Pairs of one or more sources, read at random from shards or folders.

    An item is asked for by ``index`` or by ``(epoch, index)`` as
    :class:`react_mm.engine.samplers.PairSampler` does; its augmentation is a function of
    (seed, epoch, index) alone.

    Images are decoded when asked for. One that turns out damaged is replaced by the next readable
    one of the same role, always the same, and counted in :attr:`damaged`. Pairs without a usable
    caption, unsafe tar members and missing files are dropped when the sources are read and counted
    in :attr:`ledger`.

    Args:
        sources: Configs of :class:`react_mm.datasets.pair_sources.PairSource` (``path``, ``role``,
            ``where``, ``text``, ``pairs``, ``captions``, ``concept``).
        pipeline: Transforms from and to ``dict(image=PIL.Image)``; see
            :mod:`react_mm.datasets.transforms`.
        seed: First part of what seeds the augmentation and the choice of a text.
        text: Which text a pair gets: ``caption``, ``captions`` (another one each epoch),
            ``concept`` (a template with its concept), or a list of these, see
            :class:`react_mm.datasets.pair_texts.PairTexts`.
        templates: Templates of ``concept``.

    Raises:
        FileNotFoundError, ValueError: If a source is missing or has nothing usable, or a pair has
            none of the texts asked for.
    """

    def __init__(
        self,
        sources: Sequence[Mapping[str, Any]],
        pipeline: Sequence[dict | Callable] = (),
        seed: int = 0,
        text: str | Sequence[str] = "caption",
        templates: str | Sequence[str] = "photo",
    ) -> None:
        if not sources:
            raise ValueError("PairDataset: no sources given")
        self.sources = [PairSource(**source) for source in sources]
        self.transforms = [TRANSFORMS.build(t) if isinstance(t, Mapping) else t for t in pipeline]
        self.seed = seed
        self.texts = PairTexts(text, templates, seed)
        self.ledger: Counter = Counter()
        self.reader = TarReader()
        self._damaged = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._fill()
        kept = ", ".join(f"{len(self.indices_of(role))} {role}" for role in ROLES)
        dropped = ", ".join(f"{n} {reason}" for reason, n in sorted(self.ledger.items()))
        print_log(f"PairDataset: kept {kept}; left out: {dropped or 'none'}", logger="current")

    def _fill(self) -> None:
        """Reads the sources into compact columns (they are shared with forked workers)."""
        files: dict[str, int] = {}
        keys, numbers = [], []
        for source in self.sources:
            role = ROLES[source.role]
            for row in source.read(self.ledger, self.texts.needs_captions):
                if not self.texts.add(row, is_pair=role == 0):
                    self.ledger["no concept"] += 1
                    continue
                keys.append(row.key)
                file = files.setdefault(row.file, len(files))
                numbers.append((role, file, row.offset, row.size))
        self.texts.finish()
        if not numbers:
            raise ValueError(
                f"PairDataset: no pair has a concept, as text={list(self.texts.kinds)} needs: use "
                "a retrieved set (its KEY.json hold `concept`), name the field by the source's "
                "`concept`, or add 'caption'"
            )
        self._keys = pa.array(keys, pa.large_string())
        self._files = pa.array(list(files), pa.large_string())
        self._numbers = np.asarray(numbers, dtype=np.int64)  # (N, 4)
        self._same_role = {n: np.flatnonzero(self._numbers[:, 0] == n) for n in ROLES.values()}

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Counts and sources, for logs and checkpoints."""
        return {
            "num_pairs": len(self.indices_of("pair")),
            "num_general": len(self.indices_of("general")),
            "sources": [str(source.path) for source in self.sources],
        }

    @property
    def captions(self) -> list[str]:
        """The distinct texts that pairs may get; ``caption_id`` counts in this list."""
        return self.texts.texts

    @property
    def concepts(self) -> list[str]:
        """The distinct concepts of the pairs; ``concept_id`` counts in this list."""
        return self.texts.concepts

    @property
    def damaged(self) -> int:
        """How often a damaged image was met and replaced, in all workers."""
        return int(self._damaged)

    def indices_of(self, role: str) -> np.ndarray:
        """Indices (int64, ascending) of the samples of a role."""
        return self._same_role[ROLES[role]]

    def key(self, index: int) -> str:
        """Name of a sample."""
        return self._keys[index].as_py()

    def __getitem__(self, position: int | tuple[int, ...]) -> dict[str, Any]:
        """Loads one sample.

        Args:
            position: ``index`` (epoch 0), ``(epoch, index)``, or ``(epoch, index, anchor)`` of a
                sampler with hard pairs.

        Returns:
            inputs: uint8 (3, H, W) RGB; caption: str; caption_id: int (-1 for role 1); concept_id:
            int (-1 for none); role: int (0 pair, 1 general); key: str; epoch: int; with an anchor
            also pair_index: int, and anchor: int, the index of the pair for which this one is in
            the batch, -1 for a pair that stands for itself.
        """
        epoch, index, *_ = position if isinstance(position, tuple) else (0, int(position))
        source, image = self._load(index)
        results = {"image": image}
        with seeded(self.seed, epoch, index):
            for transform in self.transforms:
                results = transform(results)
        return {"inputs": to_uint8_chw(results["image"]), **self._fields(source, position)}

    def _fields(self, source: int, position: int | tuple[int, ...]) -> dict[str, Any]:
        """All of an item but the image; ``source`` replaces a damaged sample."""
        epoch, index, *anchor = position if isinstance(position, tuple) else (0, int(position))
        number = self.texts.choose(source, epoch)
        return {
            "caption": self.texts.text(number),
            "caption_id": number,
            "concept_id": self.texts.concept_id(source),
            "role": int(self._numbers[source, 0]),
            "key": self.key(source),
            "epoch": epoch,
            **({"pair_index": int(index), "anchor": int(anchor[0])} if anchor else {}),
        }

    def _load(self, index: int) -> tuple[int, Any]:
        """Decodes sample ``index`` or, where it is damaged, the next readable one of its role."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        same = self._same_role[self._numbers[index, 0]]
        start = int(np.searchsorted(same, index))
        for step in range(min(MAX_REPLACEMENTS, len(same))):
            candidate = int(same[(start + step) % len(same)])
            try:
                return candidate, decode_image(self._read(candidate))
            except DamagedImageError as error:
                self._damaged += 1
                print_log(
                    f"damaged image {self.key(candidate)} replaced by the next one: {error}",
                    logger="current",
                    level=logging.WARNING,
                )
        raise DamagedImageError(
            f"from {self.key(index)} on, {min(MAX_REPLACEMENTS, len(same))} images are damaged"
        )

    def _read(self, index: int) -> bytes:
        _, file, offset, size = self._numbers[index].tolist()
        name = self._files[file].as_py()
        return Path(name).read_bytes() if offset < 0 else self.reader.read(name, offset, size)
