"""Accuracy of zero-shot classification."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.evaluation.outcomes import Outcomes, hits_of
from react_mm.registry import METRICS
from react_mm.suggestions import near_matches


def class_scores(sample: Mapping[str, Any], meta: Mapping[str, Any] | None) -> np.ndarray:
    """``scores`` of a sample, float64 (C,).

    Raises:
        ValueError: If a sample has no scores, or not as many as the data set has classes.
    """
    if "scores" not in sample:
        raise ValueError(
            "the model gave no class scores: no vocabulary is set; add "
            "custom_hooks = [dict(type='react_mm.VocabularyHook')]"
        )
    scores = np.asarray(sample["scores"], dtype=np.float64)
    classes = (meta or {}).get("classes")
    if classes is not None and len(classes) != len(scores):
        raise ValueError(f"the model scores {len(scores)} classes, the data set has {len(classes)}")
    return scores


@METRICS.register_module()
class ZeroShotAccuracy(BaseMetric):
    """Top-1 accuracy over all images, per group and per class, as fractions.

    The candidates of every image are all classes of the vocabulary, whatever its group (the
    generalised setting). Groups come from ``metainfo['groups']`` of the data set.

    Reported: ``zero_shot/top1``, ``zero_shot/mean_class`` (mean over the classes that have images),
    ``zero_shot/GROUP`` for each group, ``zero_shot/images``; with ``per_class`` also
    ``zero_shot/class/NAME``.

    Args:
        per_class: Report every class.
        topk: Further k to report, as ``zero_shot/topK``.
        headline: The metric that a table of several tasks shows.
        collect_device: ``cpu`` or ``gpu``, how processes gather.
        prefix: Replaces ``zero_shot``.
    """

    default_prefix = "zero_shot"

    def __init__(
        self,
        per_class: bool = False,
        topk: Sequence[int] = (),
        headline: str = "top1",
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_class = per_class
        self.topk = tuple(topk)
        self.headline = headline
        self.outcomes: dict[str, Outcomes] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Notes label and rank of the label for each image.

        Args:
            data_batch: Not used.
            data_samples: Dicts with ``scores`` float (C,) and ``label``.

        Raises:
            ValueError: If a sample has no scores, or not as many as there are classes.
        """
        for sample in data_samples:
            scores = class_scores(sample, self.dataset_meta)
            label = int(sample["label"])
            # rank of the label; of equal scores the lower class comes first
            rank = int((scores > scores[label]).sum() + (scores[:label] == scores[label]).sum())
            self.results.append((label, rank, str(sample.get("key", ""))))

    def compute_metrics(self, results: list[tuple[int, int, str]]) -> dict[str, float]:
        """Turns (label, rank, key) into fractions, and keeps ``outcomes`` by metric.

        Raises:
            ValueError: If the headline is not among the metrics.
        """
        keys = [r[2] for r in results]
        labels, ranks = np.asarray([r[:2] for r in results], dtype=np.int64).T
        right = ranks == 0
        outcomes = {"top1": hits_of(keys, right)}
        outcomes |= {f"top{k}": hits_of(keys, ranks < k) for k in self.topk if k > 1}
        by_class = {"hits": right.astype(np.float32), "label": labels}
        outcomes["mean_class"] = Outcomes("class_mean", tuple(keys), by_class)
        meta = self.dataset_meta or {}
        names = list(meta.get("classes", ()))
        for group, members in meta.get("groups", {}).items():
            inside = np.isin(labels, [names.index(name) for name in members])
            if inside.any():
                own = [key for key, keep in zip(keys, inside, strict=True) if keep]
                outcomes[group] = hits_of(own, right[inside])
        self.outcomes = outcomes
        metrics = {name: entry.value() for name, entry in outcomes.items()}
        if self.per_class:
            for number in np.unique(labels):
                name = names[number] if names else number
                metrics[f"class/{name}"] = float(right[labels == number].mean())
        if self.headline not in metrics:
            raise ValueError(
                f"headline {self.headline!r} is no metric here"
                + near_matches(self.headline, metrics)
            )
        return metrics | {"images": float(len(labels))}
