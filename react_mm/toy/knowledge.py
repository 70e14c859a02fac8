"""What a base knows of the drawn world before any customization: looks, words, places.

python -m react_mm.toy.knowledge --weights work_dirs/pretrain_toy/clip_toy.safetensors
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from react_mm.apis.encoder import Encoder, build_encoder
from react_mm.prompts import resolve_templates
from react_mm.toy.sampling import PAIR_PARTS, pair
from react_mm.toy.world import CONCEPTS, TARGET_FAMILY
from react_mm.toy.zero_shot import zero_shot_by_family

__all__ = ["caption_recall", "measure", "toy_encoder"]

WORDS_SEED = 100
"""Seed of the pool whose captions are looked for; no table of results uses it."""

SEARCHED = 50  # hits of each query, as in configs/retrieval/toy.py


def toy_encoder(weights: str | Path) -> Encoder:
    """The towers of 'toy-vit' with given weights.

    Args:
        weights: open_clip state dict.
    """
    tower = {"arch": "toy-vit", "checkpoint": str(weights)}
    return build_encoder(
        {
            "type": "react_mm.CLIP",
            "image_tower": {"type": "react_mm.CLIPViT", **tower},
            "text_tower": {"type": "react_mm.CLIPText", **tower},
        }
    )


def caption_recall(
    encoder: Encoder, captions: Sequence[str], templates: str = "drawn", k: int = SEARCHED
) -> dict[str, float]:
    """How well the text tower finds the captions that name a concept of the target family.

    Every word x template is a query of its own (REACT), and the best k captions of each count.

    Args:
        encoder: The base.
        captions: The captions of a pool.
        templates: Prompt templates (see :mod:`react_mm.prompts`).
        k: Captions taken for each query.

    Returns:
        ``recall``: the share of the captions naming a concept that one of its queries finds, mean
        over the concepts; ``precision_at_10``: the share of right captions among the first ten.
    """
    rows = encoder.encode_texts(list(captions))
    recalls, precisions = [], []
    for concept in CONCEPTS:
        if concept.family != TARGET_FAMILY:
            continue
        named = np.array([any(word in text for word in concept.words) for text in captions])
        found: set[int] = set()
        for word in concept.words:
            queries = [t.format(word) for t in resolve_templates(templates)]
            for similarity in encoder.encode_texts(queries) @ rows.T:
                best = np.argsort(-similarity, kind="stable")[:k]
                found.update(best.tolist())
                precisions.append(named[best[:10]].mean())
        recalls.append(np.mean([row in found for row in np.flatnonzero(named)]))
    return {"recall": float(np.mean(recalls)), "precision_at_10": float(np.mean(precisions))}


def measure(weights: str | Path, data: str | Path, splits: Sequence[str]) -> dict[str, Any]:
    """Zero-shot accuracy by name, and with synonyms allowed; recall of the target's captions.

    Args:
        weights: open_clip state dict of 'toy-vit'.
        data: Folder of the drawn world.
        splits: Of 'val' and 'test'.
    """
    encoder = toy_encoder(weights)

    def images(files: Sequence[Path]) -> np.ndarray:
        rows = []
        for start in range(0, len(files), 200):
            batch = [
                encoder.prepare(Image.open(f).convert("RGB")) for f in files[start : start + 200]
            ]
            rows.append(encoder.encode_images(np.stack(batch)))
        return np.concatenate(rows)

    found: dict[str, Any] = {}
    for key, synonyms in (("zero_shot", False), ("zero_shot_synonyms", True)):
        found[key] = {
            split: zero_shot_by_family(
                images,
                encoder.encode_texts,
                Path(data) / "classification" / split,
                synonyms=synonyms,
            )
            for split in splits
        }
    captions = [pair(WORDS_SEED, "pool", i).caption for i in range(PAIR_PARTS["pool"].pairs)]
    found["target_captions"] = caption_recall(encoder, captions)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what a base knows on the validation split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, type=Path, help="open_clip state dict")
    parser.add_argument("--data", type=Path, default=Path("data/toy"))
    parser.add_argument("--splits", nargs="+", default=["val"], choices=("val", "test"))
    args = parser.parse_args(arguments)
    print(json.dumps(measure(args.weights, args.data, args.splits), indent=2))


if __name__ == "__main__":
    main()
