"""Zero-shot accuracy of a two-tower model on the drawn world, per family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from react_mm.prompts import resolve_templates
from react_mm.toy.world import CONCEPTS, FAMILIES, TARGET_FAMILY

__all__ = ["family_accuracy", "zero_shot_by_family"]


def family_accuracy(correct: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean per-class accuracy by family, and of the target and the other families.

    Args:
        correct: bool (N,), whether the prediction was right.
        labels: int (N,), indices into ``CONCEPTS``.
    """
    per_class = {
        i: float(correct[labels == i].mean()) for i in range(len(CONCEPTS)) if (labels == i).any()
    }
    out = {
        family: float(np.mean([v for i, v in per_class.items() if CONCEPTS[i].family == family]))
        for family in FAMILIES
    }
    others = [v for i, v in per_class.items() if CONCEPTS[i].family != TARGET_FAMILY]
    return {"target": out[TARGET_FAMILY], "other": float(np.mean(others)), **out}


def zero_shot_by_family(
    encode_images: Callable[[Sequence[Path]], np.ndarray],
    encode_texts: Callable[[list[str]], np.ndarray],
    folder: str | Path,
    templates: str = "drawn",
    synonyms: bool = False,
) -> dict[str, float]:
    """Classify a folder of class folders among all concepts.

    Args:
        encode_images: Files to float (N, D), L2-normalised.
        encode_texts: Strings to float (N, D), L2-normalised.
        folder: For example ``data/toy/classification/val``.
        templates: Prompt templates (see :mod:`react_mm.prompts`).
        synonyms: Let each concept take the best of its words instead of its name alone.

    Returns:
        Accuracy in [0, 1] by family, with 'target' and 'other'.

    Raises:
        FileNotFoundError: If a concept has no image there.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, concept in enumerate(CONCEPTS):
        found = sorted((Path(folder) / concept.name).glob("*.png"))
        if not found:
            raise FileNotFoundError(
                f"no image in {Path(folder) / concept.name}: run tools/make_toy_world.py first"
            )
        files += found
        labels += [label] * len(found)
    prompts = resolve_templates(templates)
    owners, rows = [], []
    for label, concept in enumerate(CONCEPTS):
        for word in concept.words if synonyms else (concept.name,):
            embedded = encode_texts([t.format(word) for t in prompts]).mean(0)
            rows.append(embedded / np.linalg.norm(embedded))
            owners.append(label)
    truth = np.array(labels)
    predicted = np.array(owners)[(encode_images(files) @ np.stack(rows).T).argmax(1)]
    return family_accuracy(predicted == truth, truth)
