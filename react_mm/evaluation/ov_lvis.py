"""Federated AP on rare, common and frequent classes (needs mmdet and lvis)."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import LVISMetric
from mmengine.logging import print_log

from react_mm.datasets.base_novel import check_classes
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
        **kwargs: Those of mmdet's ``LVISMetric`` (``metric='bbox'`` or ``['bbox', 'segm']``).

    Raises:
        ImportError: If lvis is not installed.
        ValueError: If the file is not in LVIS's format.
    """

    default_prefix = "ov_lvis"

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        if find_spec("lvis") is None:
            raise ImportError(
                "react_mm.OpenVocabularyLVISMetric needs the package lvis, which requirements.txt "
                "names: pip install lvis==0.5.3"
            )
        super().__init__(ann_file=ann_file, **kwargs)
        self.ann_file = ann_file
        self._check_format()

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
