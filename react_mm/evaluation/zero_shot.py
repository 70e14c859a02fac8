"""Accuracy of zero-shot classification."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.registry import METRICS


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
        collect_device: ``cpu`` or ``gpu``, how processes gather.
        prefix: Replaces ``zero_shot``.
    """

    default_prefix = "zero_shot"

    def __init__(
        self,
        per_class: bool = False,
        topk: Sequence[int] = (),
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_class = per_class
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Notes label and rank of the label for each image.

        Args:
            data_batch: Not used.
            data_samples: Dicts with ``scores`` float (C,) and ``label``.

        Raises:
            ValueError: If a sample has no scores, or not as many as there are classes.
        """
        for sample in data_samples:
            if "scores" not in sample:
                raise ValueError(
                    "the model gave no class scores: no vocabulary is set; add "
                    "custom_hooks = [dict(type='react_mm.VocabularyHook')]"
                )
            scores = np.asarray(sample["scores"], dtype=np.float64)
            classes = (self.dataset_meta or {}).get("classes")
            if classes is not None and len(classes) != len(scores):
                raise ValueError(
                    f"the model scores {len(scores)} classes, the data set has {len(classes)}"
                )
            label = int(sample["label"])
            # rank of the label; of equal scores the lower class comes first
            rank = int((scores > scores[label]).sum() + (scores[:label] == scores[label]).sum())
            self.results.append((label, rank))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Turns (label, rank) into fractions."""
        labels, ranks = np.asarray(results, dtype=np.int64).T
        right = ranks == 0
        metrics = {"top1": float(right.mean())}
        metrics |= {f"top{k}": float((ranks < k).mean()) for k in self.topk if k > 1}
        present = np.unique(labels)
        per_class = {int(c): float(right[labels == c].mean()) for c in present}
        metrics["mean_class"] = float(np.mean(list(per_class.values())))
        meta = self.dataset_meta or {}
        names = list(meta.get("classes", ()))
        for group, members in meta.get("groups", {}).items():
            inside = np.isin(labels, [names.index(name) for name in members])
            if inside.any():
                metrics[group] = float(right[inside].mean())
        if self.per_class:
            for number, value in per_class.items():
                metrics[f"class/{names[number] if names else number}"] = value
        metrics["images"] = float(len(labels))
        return metrics
