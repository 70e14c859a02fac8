"""Metrics of ELEVATER's two special sets: 11-point mAP (VOC2007), ROC AUC (Hateful Memes)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.evaluation.outcomes import Outcomes, hits_of
from react_mm.evaluation.zero_shot import class_scores
from react_mm.registry import METRICS


@METRICS.register_module()
class MultiLabelPrecision(BaseMetric):
    """Mean average precision of images with several classes, VOC2007's 11 points, as a fraction.

    Reported: ``zero_shot/map11``, ``zero_shot/images``.

    Args:
        collect_device: ``cpu`` or ``gpu``, how processes gather.
        prefix: Replaces ``zero_shot``.
    """

    default_prefix = "zero_shot"
    headline = "map11"

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.outcomes: dict[str, Outcomes] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps ``scores`` (C,) and ``label`` uint8 (C,) of each image.

        Raises:
            ValueError: If a label is not one entry per class.
        """
        for sample in data_samples:
            scores = class_scores(sample, self.dataset_meta)
            label = np.asarray(sample["label"])
            if label.shape != scores.shape:
                raise ValueError(
                    f"MultiLabelPrecision needs labels {scores.shape}, got {label.shape}: set "
                    "multi_label=True, or use ZeroShotAccuracy"
                )
            self.results.append((str(sample.get("key", "")), scores, label > 0))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """The mean over the classes."""
        keys, scores, labels = zip(*results, strict=True)
        arrays = {"scores": np.stack(scores).astype(np.float32), "labels": np.stack(labels)}
        self.outcomes = {"map11": Outcomes("eleven_point_map", keys, arrays)}
        return {"map11": self.outcomes["map11"].value(), "images": float(len(results))}


@METRICS.register_module()
class BinaryAUC(BaseMetric):
    """Area under the ROC curve for two classes, the second being the positive one.

    Reported: ``zero_shot/roc_auc``, ``zero_shot/top1``, ``zero_shot/images``, as fractions.

    Args:
        collect_device: ``cpu`` or ``gpu``, how processes gather.
        prefix: Replaces ``zero_shot``.
    """

    default_prefix = "zero_shot"
    headline = "roc_auc"

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.outcomes: dict[str, Outcomes] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps the difference of the two scores and the label of each image.

        Raises:
            ValueError: If there are not two classes.
        """
        for sample in data_samples:
            scores = class_scores(sample, self.dataset_meta)
            if scores.shape != (2,):
                raise ValueError(f"BinaryAUC needs two classes, the model scores {len(scores)}")
            key = str(sample.get("key", ""))
            self.results.append((key, float(scores[1] - scores[0]), int(sample["label"])))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Area and accuracy.

        Raises:
            ValueError: If only one of the classes has images.
        """
        keys, score, label = zip(*results, strict=True)
        score, label = np.array(score), np.array(label)
        if len(np.unique(label)) < 2:
            raise ValueError("ROC AUC needs images of both classes")
        area = Outcomes("roc_auc", keys, {"score": score, "label": label})
        # of equal scores the first class comes first, as in ZeroShotAccuracy
        top1 = hits_of(keys, (score > 0).astype(int) == label)
        self.outcomes = {"roc_auc": area, "top1": top1}
        return {k: o.value() for k, o in self.outcomes.items()} | {"images": float(len(results))}
