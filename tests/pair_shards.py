"""Small shards of pairs for tests, written with tarfile alone."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def png(seed: int, size: tuple[int, int] = (40, 50)) -> bytes:
    """A noise picture of (height, width) as PNG bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a regular member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_shard(path: Path, number: int, first: int = 0, captions: int = 1000) -> Path:
    """``number`` pairs k000.., caption ``caption <i % captions>``, metadata ``{"parity": ..}``."""
    with tarfile.open(path, "w") as tar:
        for i in range(first, first + number):
            add(tar, f"k{i:03d}.png", png(i))
            add(tar, f"k{i:03d}.txt", f"caption {i % captions}".encode())
            add(tar, f"k{i:03d}.json", json.dumps({"parity": "odd" if i % 2 else "even"}).encode())
    return path
