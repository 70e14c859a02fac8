"""Federated AP on rare, common and frequent classes (needs mmdet and lvis)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import LVISMetric
from mmengine.logging import print_log

from react_mm.datasets.base_novel import check_classes
from react_mm.evaluation.class_ap import IOU, result_rows
from react_mm.evaluation.concept_frequency import LIMITS, FrequencyRows
from react_mm.registry import METRICS

_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")


@contextmanager
def numpy_float() -> Iterator[None]:
    """Gives numpy its former alias ``np.float`` while lvis 0.5.3, which asks for it, evaluates."""
    there = "float" in vars(np)
    if not there:
        np.float = float  # noqa: NPY001
    try:
        yield
    finally:
        if not there:
            del np.float  # noqa: NPY001


def federated_ap50(
    truth: Any, predictions: Sequence[Mapping[str, Any]], category_ids: Sequence[int]
) -> np.ndarray:
    """AP50 per class under LVIS's federated rules.

    Args:
        truth: Annotations, ``lvis.LVIS``.
        predictions: Per image, as :func:`react_mm.evaluation.class_ap.class_ap50` takes them.
        category_ids: Category id of each label, C.

    Returns:
        (C,) float64; NaN for a class without any box to find.
    """
    from lvis import LVISEval, LVISResults

    present = {annotation["category_id"] for annotation in truth.anns.values()}
    rows = result_rows(predictions, category_ids)
    if not rows:
        return np.array([0.0 if i in present else np.nan for i in category_ids])
    run = LVISEval(truth, LVISResults(truth, rows), "bbox")
    run.params.iou_thrs = np.array([IOU])
    run.params.area_rng, run.params.area_rng_lbl = [[0, 1e10]], ["all"]
    with numpy_float():
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][0, :, :, 0]  # (recalls, classes by id); -1 without any box
    place = {category: i for i, category in enumerate(run.params.cat_ids)}
    chosen = precision[:, [place[i] for i in category_ids]]
    return np.where(chosen[0] < 0, np.nan, chosen.mean(0))


@METRICS.register_module()
class OpenVocabularyLVISMetric(LVISMetric):
    """mmdet's ``LVISMetric`` with its traps closed: APr (novel), APc, APf and AP of OV-LVIS.

    The evaluation is federated (Gupta et al., arXiv 1908.03195, sec. 3): in an image only the
    classes count that are annotated there or known to be absent, and of a class that is not
    exhaustively annotated there no unmatched detection is a mistake. At most 300 detections per
    image count.

    Category ids follow the class names of the data set, not the order of the file; class names are
    checked against it; numpy 2 is supplied with what lvis 0.5.3 lacks; without any prediction all
    figures are 0 instead of absent. A group without any class keeps lvis's -1.

    Args:
        ann_file: LVIS annotation file of the data set.
        frequency: A retrieved set: AP50 also by how many of its pairs a class has, as
            :class:`~react_mm.evaluation.ov_coco.OpenVocabularyCocoMetric` gives it.
        frequency_limits: Pairs from which on a class is in the bins ``medium`` and ``many``.
        **kwargs: Those of mmdet's ``LVISMetric`` (``metric='bbox'`` or ``['bbox', 'segm']``).

    Raises:
        ImportError: If lvis is not installed.
        ValueError: If the file is not in LVIS's format.
    """

    default_prefix = "ov_lvis"

    def __init__(
        self,
        ann_file: str,
        frequency: str | None = None,
        frequency_limits: Sequence[int] = LIMITS,
        **kwargs: Any,
    ) -> None:
        if find_spec("lvis") is None:
            raise ImportError(
                "react_mm.OpenVocabularyLVISMetric needs the package lvis, which requirements.txt "
                "names: pip install lvis==0.5.3"
            )
        self.frequency = None if frequency is None else FrequencyRows(frequency, frequency_limits)
        super().__init__(ann_file=ann_file, **kwargs)
        self.ann_file = ann_file
        self._check_format()

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collects a batch.

        Raises:
            ValueError: At the first batch, if the retrieved set has pairs of none of the classes.
        """
        if self.frequency is not None and not self.results:
            self.frequency.counts(self.dataset_meta)
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluates all images.

        Raises:
            ValueError: If ``dataset_meta`` has no classes, or the file lacks one of them.
        """
        if "classes" not in self.dataset_meta:
            raise ValueError(
                "dataset metainfo has no 'classes': use react_mm.OpenVocabularyLVISDataset"
            )
        classes = tuple(self.dataset_meta["classes"])
        ids = {c["name"]: c["id"] for c in self._lvis_api.dataset["categories"]}
        check_classes(classes, list(ids), self.ann_file)
        if len(classes) < len(ids):
            print_log(
                f"{self.ann_file}: {len(ids) - len(classes)} of {len(ids)} classes are not in the "
                "vocabulary; each counts with AP 0",
                logger="current",
            )
        self.cat_ids = [ids[name] for name in classes]
        with numpy_float():
            figures = super().compute_metrics(results)
        if not figures and not self.format_only:
            print_log("nothing was predicted in any image: all AP are 0", logger="current")
            figures = {f"{kind}_{name}": 0.0 for kind in self.metrics for name in _FIGURES}
        if self.frequency is not None and not self.format_only:
            predictions = [prediction for _, prediction in results]
            ap = federated_ap50(self._lvis_api, predictions, self.cat_ids)
            figures.update(self.frequency.figures(ap, self.dataset_meta))
        return {name: float(value) for name, value in figures.items()}

    def _check_format(self) -> None:
        """Refuses a file without the fields of a federated data set, by name."""
        content = self._lvis_api.dataset
        for part, fields in (
            ("images", ("neg_category_ids", "not_exhaustive_category_ids")),
            ("categories", ("frequency",)),
        ):
            for entry in content[part]:
                lacking = [field for field in fields if field not in entry]
                if lacking:
                    raise ValueError(
                        f"{self.ann_file} is not in LVIS's format: {part} entry {entry.get('id')} "
                        f"has no {lacking[0]!r}; COCO files: react_mm.OpenVocabularyCocoMetric"
                    )
