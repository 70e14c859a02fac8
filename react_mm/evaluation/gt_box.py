"""GT-box accuracy: how often a ground-truth box gets the right name."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from react_mm.evaluation.class_groups import class_groups
from react_mm.evaluation.outcomes import Outcomes, hits_of
from react_mm.registry import METRICS


@METRICS.register_module()
class GTBoxAccuracy(BaseMetric):
    """Top-1 accuracy over ground-truth boxes, for all, target (novel) and other (base) classes.

    ``accuracy`` counts boxes; ``class_accuracy`` is the mean over the classes that occur.
    """

    default_prefix = "gt_box"
    headline = "accuracy"
    outcomes: dict[str, Outcomes] = {}

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
            self.results.append((boxes, hits, str(sample.get("img_path", ""))))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Accuracies as fractions; NaN for a group without any box. Keeps ``outcomes``."""
        boxes_of, hits_in, keys = (list(part) for part in zip(*results, strict=True))
        boxes_of, hits_in = np.stack(boxes_of), np.stack(hits_in)
        boxes, hits = boxes_of.sum(0), hits_in.sum(0)
        self.outcomes = {}
        figures: dict[str, float] = {}
        for group, rows in class_groups(self.dataset_meta).items():
            suffix = "" if group == "all" else f"_{group}"
            total, seen = boxes[rows].sum(), rows[boxes[rows] > 0]
            figures[f"accuracy{suffix}"] = float(hits[rows].sum() / total) if total else np.nan
            rates = hits[seen] / boxes[seen]
            figures[f"class_accuracy{suffix}"] = float(rates.mean()) if len(seen) else np.nan
            figures[f"boxes{suffix}"] = float(total)
            if total:
                own = hits_in[:, rows].sum(1), boxes_of[:, rows].sum(1)
                self.outcomes[f"accuracy{suffix}"] = hits_of(keys, *own)
        return figures
