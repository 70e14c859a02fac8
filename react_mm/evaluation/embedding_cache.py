"""Frozen image embeddings of a data set, computed once per weights and images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from react_mm.manifest import atomic_path, sha256_bytes


def dataset_fingerprint(dataset: Any) -> str:
    """sha256 over names, sizes and times of the images and over the transforms.

    Args:
        dataset: With ``files`` (pairs of key and path) and ``transforms``, as
            :class:`react_mm.datasets.zero_shot.ZeroShotDataset`.

    Raises:
        TypeError: If it has none.
        FileNotFoundError: If an image is gone.
    """
    if not hasattr(dataset, "files"):
        raise TypeError(f"{type(dataset).__name__} has no list of files to tell its images by")
    lines = [repr(getattr(t, "transform", t)) for t in dataset.transforms]
    for key, path in dataset.files:
        state = path.stat()
        lines.append(f"{key}|{path.resolve()}|{state.st_size}|{state.st_mtime_ns}")
    return sha256_bytes("\n".join(lines).encode())


@torch.no_grad()
def embed_images(
    model: Any, loader: Iterable[Mapping[str, Any]], dataset: Any, folder: str | Path
) -> Tensor:
    """Embeddings of all images of a data set, from the cache where they are there.

    Args:
        model: :class:`react_mm.CLIP`, or any model with ``identity()``, ``encode_image`` and a
            ``data_preprocessor``.
        loader: Batches of the data set in its order, with ``inputs``.
        dataset: The data set, for its fingerprint.
        folder: Of the cache; a file per weights, images and transforms.

    Returns:
        float32 (N, D) on the CPU, L2-normalised.

    Raises:
        ValueError: If the batches do not give as many images as the data set has.
    """
    identity = model.identity()
    name = sha256_bytes(f"{identity}|{dataset_fingerprint(dataset)}".encode())
    path = Path(folder) / f"{name}.npy"
    if path.is_file():
        stored = np.load(path, allow_pickle=False)
        if stored.shape == (len(dataset), identity["dimension"]):
            return torch.from_numpy(stored)
    model.eval()
    chunks = []
    for batch in loader:
        inputs = model.data_preprocessor({"inputs": batch["inputs"]})["inputs"]
        chunks.append(F.normalize(model.encode_image(inputs).float(), dim=-1).cpu())
    embeddings = torch.cat(chunks)
    if len(embeddings) != len(dataset):
        raise ValueError(f"{len(embeddings)} images came of a data set of {len(dataset)}")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, embeddings.numpy())
    return embeddings
