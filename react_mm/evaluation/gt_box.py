"""GT-box accuracy: how often a ground-truth box gets the right name."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.evaluation.class_groups import class_groups
from react_mm.registry import METRICS


@METRICS.register_module()
class GTBoxAccuracy(BaseMetric):
    """Top-1 accuracy over ground-truth boxes, for all, target (novel) and other (base) classes.

    ``accuracy`` counts boxes; ``class_accuracy`` is the mean over the classes that occur.
    """

    default_prefix = "gt_box"

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Counts the boxes and hits per class of each image.

        Raises:
            ValueError: If predictions and boxes of an image differ in number, or a label lies
                outside the classes.
        """
        count = len(self.dataset_meta["classes"])
        for sample in data_samples:
            truth = sample["gt_instances"]["labels"].cpu().numpy()
            named = sample["pred_instances"]["labels"].cpu().numpy()
            if len(truth) != len(named):
                raise ValueError(
                    f"{sample.get('img_path')}: {len(named)} predictions for {len(truth)} boxes"
                )
            if len(truth) and not 0 <= truth.min() <= truth.max() < count:
                raise ValueError(f"{sample.get('img_path')}: a label lies outside 0..{count - 1}")
            boxes = np.bincount(truth, minlength=count)
            hits = np.bincount(truth[truth == named], minlength=count)
            self.results.append((boxes, hits))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Accuracies as fractions; NaN for a group without any box."""
        boxes, hits = (np.sum(part, axis=0) for part in zip(*results, strict=True))
        figures: dict[str, float] = {}
        for group, rows in class_groups(self.dataset_meta).items():
            suffix = "" if group == "all" else f"_{group}"
            total, seen = boxes[rows].sum(), rows[boxes[rows] > 0]
            figures[f"accuracy{suffix}"] = float(hits[rows].sum() / total) if total else np.nan
            rates = hits[seen] / boxes[seen]
            figures[f"class_accuracy{suffix}"] = float(rates.mean()) if len(seen) else np.nan
            figures[f"boxes{suffix}"] = float(total)
        return figures
