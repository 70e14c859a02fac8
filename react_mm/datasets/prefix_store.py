"""Outputs of a frozen prefix on disk, by image content: computed once, shared by all runs.

A prefix is what runs below the first trained block; while it is frozen and the pipeline draws
nothing at random, its output for an image never changes. A store is a folder of parts, each a
``.npy`` (memory-mapped, one row per image) with a ``.json`` beside it that names the images by the
sha256 of their bytes and the prefix by a string. Parts are whole or absent, and only ever added.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from react_mm.manifest import atomic_path, read_json, sha256_file, write_json

PART_ROWS = 512


def digest_of(data: bytes) -> str:
    """Name of an image: sha256 (hex) of its file's bytes."""
    return hashlib.sha256(data).hexdigest()


class PrefixStore:
    """Rows of one prefix, float16, found by the digest of the image.

    Args:
        folder: Where the parts lie; made when something is written.
        identity: What made the rows: prefix weights, preprocessing. Parts of another identity are
            left alone.

    Raises:
        ValueError: If a part's array does not have as many rows as its list.
    """

    def __init__(self, folder: str | Path, identity: str) -> None:
        self.folder, self.identity = Path(folder), identity
        self._parts: list[np.ndarray] = []
        self._place: dict[str, tuple[int, int]] = {}
        for card in sorted(self.folder.glob("part-*.json")):
            self._open(card)

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, digest: str) -> bool:
        return digest in self._place

    def __getitem__(self, digest: str) -> np.ndarray:
        """The row of an image, float16, memory-mapped.

        Raises:
            KeyError: If the image is not in the store.
        """
        part, row = self._place[digest]
        return self._parts[part][row]

    def add(self, rows: Sequence[np.ndarray], digests: Sequence[str]) -> None:
        """Writes one part, atomically, and opens it.

        Args:
            rows: One array per image, all of one shape; stored as float16.
            digests: Their images.
        """
        table = np.stack(rows).astype(np.float16)
        if not np.isfinite(table).all():
            raise ValueError(f"prefix store {self.folder}: the prefix gave values beyond float16")
        name = hashlib.sha256("".join([self.identity, *digests]).encode()).hexdigest()[:16]
        path = self.folder / f"part-{name}.npy"
        with atomic_path(path) as temporary:
            np.save(temporary, table)
        card = {"identity": self.identity, "sha256": sha256_file(path), "images": list(digests)}
        write_json(path.with_suffix(".json"), card)
        self._open(path.with_suffix(".json"))

    def fill(
        self,
        images: Iterable[tuple[str, Callable[[], np.ndarray]]],
        encode: Callable[[np.ndarray], np.ndarray],
        batch_size: int = 32,
    ) -> int:
        """Computes what is missing, a part at a time, so that a killed run continues.

        Args:
            images: Digest and a function that loads the image, uint8 (3, H, W).
            encode: uint8 (B, 3, H, W) -> float (B, ...), the prefix.
            batch_size: Images encoded at once.

        Returns:
            How many images were computed.
        """
        missing = [item for item in dict(images).items() if item[0] not in self._place]
        with tqdm(
            total=len(missing), desc="frozen prefix", disable=not missing, leave=False
        ) as bar:
            for first in range(0, len(missing), PART_ROWS):
                part = missing[first : first + PART_ROWS]
                rows: list[np.ndarray] = []
                for start in range(0, len(part), batch_size):
                    batch = np.stack([load() for _, load in part[start : start + batch_size]])
                    rows.extend(encode(batch))
                    bar.update(len(batch))
                self.add(rows, [digest for digest, _ in part])
        return len(missing)

    def _open(self, card: Path) -> None:
        content = read_json(card)
        path = card.with_suffix(".npy")
        if content["identity"] != self.identity or not path.is_file():
            return
        table = np.load(path, mmap_mode="r")
        if len(table) != len(content["images"]):
            raise ValueError(
                f"prefix store {path} has {len(table)} rows for {len(content['images'])} images: "
                "remove it and its .json"
            )
        self._parts.append(table)
        for row, digest in enumerate(content["images"]):
            self._place[digest] = (len(self._parts) - 1, row)
