"""A tiny encoder and tiny pools for retrieval tests; as a script it runs a pool (to be killed).

An image's colour is its concept: the encoder maps the mean colour, and the colour words of a text,
to the same direction, plus a little noise from a hash, so that nothing needs a model.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "red": (230, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 40, 220),
    "yellow": (230, 220, 40),
    "black": (15, 15, 15),
    "white": (240, 240, 240),
}
DIMENSION = 16


class HashEncoder:
    """Deterministic encoder: colour plus hashed noise.

    Args:
        name: Part of the identity.
        delay: Seconds each image batch takes.
    """

    dimension = DIMENSION

    def __init__(self, name: str = "fake", delay: float = 0.0) -> None:
        self.identity = {"architecture": name, "weights_hash": "0" * 8, "dimension": DIMENSION}
        self.delay = delay
        self.calls = 0

    def prepare(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.resize((8, 8))).transpose(2, 0, 1).copy()

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8 and images.shape[1:] == (3, 8, 8)
        self.calls += 1
        time.sleep(self.delay)
        mean = images.reshape(len(images), 3, -1).mean(axis=2)
        table = np.array(list(COLOURS.values()), float)
        near = np.linalg.norm(mean[:, None] - table[None], axis=2).argmin(axis=1)
        return np.stack([_vector(c, i.tobytes()) for c, i in zip(near, images, strict=True)])

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            found = [
                i for i, name in enumerate(COLOURS) if name in re.findall("[a-z]+", text.lower())
            ]
            rows.append(_vector(found[0] if found else None, text.encode()))
        return np.stack(rows)


def _vector(concept: int | None, data: bytes) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "little")
    vector = 0.05 * np.random.default_rng(seed).standard_normal(DIMENSION)
    if concept is None:
        vector[len(COLOURS) :] *= 20
    else:
        vector[concept] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def picture(colour: str, seed: int, kind: str = "PNG", size: tuple[int, int] = (24, 20)) -> bytes:
    """Bytes of a noisy picture of one colour."""
    noise = np.random.default_rng(seed).integers(-12, 13, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """Write a tar file of named bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            add_member(archive, name, data)
    return path


def pair(key: str, colour: str, seed: int, caption: str | None = None) -> list[tuple[str, bytes]]:
    """Two members: picture and caption."""
    caption = f"a {colour} thing number {seed}" if caption is None else caption
    return [(f"{key}.png", picture(colour, seed)), (f"{key}.txt", caption.encode())]


def write_pool(folder: Path, shards: int = 3, per_shard: int = 20) -> Path:
    """Write shards whose pictures go round the colours; returns the folder."""
    names = list(COLOURS)
    for shard in range(shards):
        members = []
        for i in range(per_shard):
            number = shard * per_shard + i
            members += pair(f"{number:06d}", names[number % len(names)], number)
        write_tar(folder / f"pool-{shard:06d}.tar", members)
    return folder


def write_folder(root: Path, count: int = 5) -> Path:
    """Write an image folder with ``.txt`` siblings; returns the folder."""
    for i in range(count):
        path = root / "sub" / f"{i} ü.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("red", i))
        path.with_suffix(".txt").write_text(f"caption {i}", encoding="utf-8")
    return root


def source(path: Path | str, kind: str = "webdataset", **more: object) -> list[dict]:
    """A pool of one source."""
    return [{"type": kind, "path": str(path), **more}]


def config(pool: Path, work: Path, /, **changes: dict) -> dict:
    """A whole retrieval config over a pool folder."""
    base = {
        "work_dir": str(work),
        "pool": [{"type": "webdataset", "path": str(pool / "*.tar")}],
        "embed": {"batch_size": 7},
        "query": {"concepts": ["red", "blue"], "templates": ["a photo of a {}.", "a {} thing"]},
        "search": {"k": 10},
        "select": {"per_concept": 8},
        "export": {"shard_size": 5},
    }
    return base | changes


if __name__ == "__main__":
    from react_mm.retrieval.pipeline import run

    settings = json.loads(Path(sys.argv[1]).read_text())
    run(settings, HashEncoder(delay=float(sys.argv[2])), sys.argv[3].split(","), progress=False)
