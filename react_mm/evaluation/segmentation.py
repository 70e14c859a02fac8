"""mIoU over groups of classes, and the share of classes that get no IoU at all."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from react_mm.evaluation.class_groups import class_groups
from react_mm.evaluation.outcomes import Outcomes
from react_mm.registry import METRICS


@METRICS.register_module()
class SegmentationIoU(BaseMetric):
    """Mean IoU for all, target (novel) and other (base) classes, as fractions.

    As mmseg does, a class counts when it occurs in a label or in a prediction. ``zero_iou`` is the
    share of the classes that occur in labels whose IoU is 0: large vocabularies hide them in the
    mean. Unlike mmseg's ``IoUMetric``, labels or predictions outside the class range are refused,
    not dropped.

    Where there are novel classes, ``mIoU_harmonic`` is the harmonic mean of the two groups' mIoU
    (2 a b / (a + b); 0 if one of them is).

    Args:
        ignore_index: Label of pixels that do not count.
        unseen: Whether the groups are called ``unseen`` and ``seen``, as zero-shot segmentation
            does, in place of ``target`` and ``other``.
    """

    default_prefix = "segmentation"
    headline = "mIoU"
    outcomes: dict[str, Outcomes] = {}

    def __init__(self, ignore_index: int = 255, unseen: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.written = {"target": "unseen", "other": "seen"} if unseen else {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Counts pixels per class of each image: in common, predicted, labelled.

        Raises:
            ValueError: If shapes differ, or a label or a prediction is outside the classes.
        """
        count = len(self.dataset_meta["classes"])
        for sample in data_samples:
            label = sample["gt_sem_seg"]["data"].squeeze(0).cpu().numpy().astype(np.int64)
            predicted = sample["pred_sem_seg"]["data"].squeeze(0).cpu().numpy().astype(np.int64)
            where = sample.get("img_path")
            if label.shape != predicted.shape:
                raise ValueError(
                    f"{where}: label has shape {label.shape}, prediction {predicted.shape}"
                )
            valid = label != self.ignore_index
            label, predicted = label[valid], predicted[valid]
            for kind, values in (("label", label), ("prediction", predicted)):
                if len(values) and not 0 <= values.min() <= values.max() < count:
                    raise ValueError(
                        f"{where}: a {kind} of {values.max()} (least {values.min()}) lies outside "
                        f"the {count} classes; map background and synonyms first"
                    )
            common = np.bincount(label[label == predicted], minlength=count)
            self.results.append(
                (
                    common,
                    np.bincount(predicted, minlength=count),
                    np.bincount(label, minlength=count),
                    str(where or ""),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Fractions, NaN for a group none of whose classes occurs; keeps ``outcomes``."""
        *counts, keys = zip(*results, strict=True)
        counts = [np.stack(part) for part in counts]
        common, predicted, labelled = (part.sum(0) for part in counts)
        self.outcomes = {}
        union = predicted + labelled - common
        iou = np.full(len(union), np.nan)
        np.divide(common, union, out=iou, where=union > 0)
        figures = {"pixel_accuracy": float(common.sum() / max(labelled.sum(), 1))}
        for group, rows in class_groups(self.dataset_meta).items():
            suffix = "" if group == "all" else f"_{self.written.get(group, group)}"
            present = rows[labelled[rows] > 0]
            counted = rows[union[rows] > 0]
            figures[f"mIoU{suffix}"] = float(iou[counted].mean()) if len(counted) else np.nan
            if len(counted):
                arrays = dict(zip(("common", "predicted", "labelled"), counts, strict=True))
                own = {name: array[:, rows] for name, array in arrays.items()}
                self.outcomes[f"mIoU{suffix}"] = Outcomes("mean_iou", keys, own)
            zero = common[present] == 0
            figures[f"zero_iou{suffix}"] = float(zero.mean()) if len(present) else np.nan
        groups = [f"mIoU_{self.written.get(g, g)}" for g in ("target", "other")]
        if groups[0] in figures:
            one, other = (figures[name] for name in groups)
            figures["mIoU_harmonic"] = 2 * one * other / (one + other) if one + other else 0.0
        lines = [
            f"{name}: {value:.4f}"
            for name, value in zip(self.dataset_meta["classes"], iou, strict=True)
        ]
        print_log("IoU per class: " + ", ".join(lines), logger="current")
        return figures
