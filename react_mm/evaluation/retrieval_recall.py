"""Recall of image-text retrieval in both directions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.evaluation.outcomes import Outcomes, hits_of
from react_mm.registry import METRICS


def best_ranks(image: np.ndarray, text: np.ndarray, owner: np.ndarray, rows: int = 1024):
    """Ranks of the right answers by cosine, ties in the order of the items.

    Args:
        image: float (N, D), L2-normalised.
        text: float (T, D), L2-normalised.
        owner: int (T,), the image that each text belongs to.
        rows: Queries compared at once.

    Returns:
        i2t: int (N,), how many texts come before the first right one (images without a text: T).
        t2i: int (T,), how many images come before the right one.
    """
    i2t = np.full(len(image), len(text), dtype=np.int64)
    t2i = np.empty(len(text), dtype=np.int64)
    own_texts = [np.flatnonzero(owner == i) for i in range(len(image))]
    for start in range(0, len(image), rows):
        scores = image[start : start + rows] @ text.T
        for row, score in enumerate(scores):
            own = own_texts[start + row]
            if len(own):
                best = own[np.argmax(score[own])]
                i2t[start + row] = (score > score[best]).sum() + (score[:best] == score[best]).sum()
    for start in range(0, len(text), rows):
        scores = text[start : start + rows] @ image.T
        right = owner[start : start + rows]
        value = scores[np.arange(len(right)), right][:, None]
        before = np.arange(len(image))[None] < right[:, None]
        t2i[start : start + rows] = ((scores > value) | ((scores == value) & before)).sum(1)
    return i2t, t2i


@METRICS.register_module()
class RetrievalRecall(BaseMetric):
    """Recall@k image to text and text to image, several captions per image, as fractions.

    Image to text counts an image as found when any of its captions is among the first k of all
    captions; text to image asks once per caption. Reported: ``retrieval/i2t_R@k``,
    ``retrieval/t2i_R@k``, ``retrieval/images``, ``retrieval/captions``.

    Args:
        topk: The k.
        headline: The metric that a table of several tasks shows; text to image at 5, or at the
            last k, by default.
        collect_device: ``cpu`` or ``gpu``, how processes gather.
        prefix: Replaces ``retrieval``.
    """

    default_prefix = "retrieval"

    def __init__(
        self,
        topk: Sequence[int] = (1, 5, 10),
        headline: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = tuple(topk)
        headline = headline or f"t2i_R@{5 if 5 in self.topk else self.topk[-1]}"
        if headline not in [f"{way}_R@{k}" for way in ("i2t", "t2i") for k in self.topk]:
            raise ValueError(f"headline {headline!r} is no metric of topk={self.topk}")
        self.headline = headline
        self.outcomes: dict[str, Outcomes] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps ``image_embedding`` (D,) and ``text_embedding`` (T, D) of each image."""
        for sample in data_samples:
            self.results.append(
                (
                    np.asarray(sample["image_embedding"], dtype=np.float32),
                    np.asarray(sample["text_embedding"], dtype=np.float32),
                    str(sample.get("key", "")),
                )
            )

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray, str]]) -> dict:
        """Ranks all captions for each image and all images for each caption.

        Keeps ``outcomes`` by metric; an image stands for all its captions there.
        """
        image = np.stack([r[0] for r in results])
        text = np.concatenate([r[1] for r in results])
        keys = [r[2] for r in results]
        count = np.array([len(r[1]) for r in results])
        owner = np.repeat(np.arange(len(results)), count)
        i2t, t2i = best_ranks(image, text, owner)
        self.outcomes = {f"i2t_R@{k}": hits_of(keys, i2t < k) for k in self.topk}
        for k in self.topk:
            found = np.bincount(owner, weights=t2i < k, minlength=len(image))
            self.outcomes[f"t2i_R@{k}"] = hits_of(keys, found, count)
        metrics = {name: entry.value() for name, entry in self.outcomes.items()}
        return metrics | {"images": float(len(image)), "captions": float(len(text))}
