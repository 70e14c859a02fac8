"""Pictures as queries of a retrieval index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from react_mm.apis.inference_inputs import ImageInput, expand
from react_mm.apis.inference_model import CLASSIFY
from react_mm.apis.predictor import Predictor
from react_mm.datasets.images import DamagedImageError
from react_mm.suggestions import near_matches

MODALITIES = ("image", "text")
FIELDS = ("key", "image_path", "member", "caption")


def retrieve(
    inferencer: Predictor,
    inputs: ImageInput | Sequence[ImageInput],
    index: str | Path,
    k: int = 10,
    keys: str = "image",
) -> dict[str, Any] | list[dict[str, Any]]:
    """Nearest pairs of an index to pictures.

    Args:
        inferencer: Of a config whose model is ``react_mm.CLIP``, the encoder of the index.
        inputs: As for :meth:`Inferencer.__call__`.
        index: ``work_dir`` of ``tools/retrieve.py``, with ``embeddings/`` and ``index/``.
        k: Pairs per picture.
        keys: ``image``: pairs with a similar image; ``text``: with a caption that fits the image.

    Returns:
        Per picture ``image`` and ``pairs``: dicts ``rank, score`` (cosine), ``key, image_path,
        member, caption``, best first; a damaged picture in a list gives ``rejected``.

    Raises:
        ValueError: If the model has no pooled embedding with texts, or ``keys`` is unknown.
        ManifestError: If the index is incomplete or was filled by another encoder.
        DamagedImageError: If a single picture is damaged.
    """
    from react_mm.apis.encoder import Encoder
    from react_mm.retrieval.index import check_encoder, load_card, load_index
    from react_mm.retrieval.search import search_rows
    from react_mm.retrieval.stored_embeddings import StoredEmbeddings

    if inferencer.task != CLASSIFY:
        raise ValueError(f"retrieve needs a config with model react_mm.CLIP; it {inferencer.task}s")
    if keys not in MODALITIES:
        raise ValueError(f"keys is image or text, not {keys!r}{near_matches(keys, MODALITIES)}")
    encoder = Encoder(inferencer.model, next(inferencer.model.parameters()).device)
    folder = Path(index)
    check_encoder(load_card(folder / "index"), encoder.identity)
    store = StoredEmbeddings(folder / "embeddings")
    found, single = expand(inputs)
    results: list[dict[str, Any]] = []
    pictures = []
    for entry in found:
        try:
            pictures.append(encoder.prepare(entry.read()[0]))
            results.append({"image": entry.name, "pairs": []})
        except DamagedImageError as error:
            if single:
                raise DamagedImageError(f"{entry.name}: {error}") from error
            results.append({"image": entry.name, "rejected": str(error)})
    kept = [result for result in results if "pairs" in result]
    if kept:
        with torch.no_grad():
            vectors = np.concatenate([encoder.encode_images(p[None]) for p in pictures])
        hits = search_rows(load_index(folder / "index", keys), vectors, k)
        for result, (rows, scores) in zip(kept, hits, strict=True):
            table = store.metadata(rows).select(FIELDS).to_pylist()
            result["pairs"] = [
                {"rank": rank, "score": round(float(score), 6), **row}
                for rank, (score, row) in enumerate(zip(scores, table, strict=True), 1)
            ]
    return results[0] if single else results
