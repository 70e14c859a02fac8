"""AP on base and novel classes in one pass (needs mmdet)."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.evaluation.metrics import OVCocoMetric
from mmengine.logging import print_log

from react_mm.evaluation.class_ap import class_ap50
from react_mm.evaluation.concept_frequency import LIMITS, FrequencyRows
from react_mm.registry import METRICS

_GROUPS = ("base_ap", "novel_ap", "base_ap50", "novel_ap50")


@METRICS.register_module()
class OpenVocabularyCocoMetric(OVCocoMetric):
    """mmdet's ``OVCocoMetric`` with its silent traps closed.

    Category ids are sorted, as COCOeval sorts them; class names are checked against the annotation
    file; without any prediction all figures are 0 instead of absent. ``base_ap50``, ``novel_ap50``
    and ``bbox_mAP_50`` are the figures of OV-COCO (generalised setting). With metrics ``bbox`` and
    ``segm`` those of masks have ``segm_`` in front, where mmdet's overwrite those of boxes. A group
    without any class keeps mmdet's -1.

    With a retrieved set, AP50 is also given by how many of its pairs a class has: ``ap50_none``,
    ``ap50_few``, ``ap50_medium`` and ``ap50_many`` with ``classes_none`` and so on; novel classes
    alone as ``novel_ap50_few``, ``novel_classes_few``. Classes without any box are not counted; a
    bin without classes has -1. The limits of the bins are logged.

    Args:
        ann_file: COCO instances file of the data set.
        frequency: A retrieved set (its folder or ``pairs.parquet``), or JSON ``{concept: pairs}``.
        frequency_limits: Pairs from which on a class is in the bins ``medium`` and ``many``.
        **kwargs: Those of mmdet's ``CocoMetric``.

    Raises:
        FileNotFoundError, ValueError: If ``frequency`` or its limits cannot be used.
    """

    default_prefix = "ov_coco"

    def __init__(
        self,
        ann_file: str | None = None,
        frequency: str | None = None,
        frequency_limits: Sequence[int] = LIMITS,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file=ann_file, **kwargs)
        self.ann_file = ann_file
        self.frequency = None if frequency is None else FrequencyRows(frequency, frequency_limits)

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
            ValueError: If ``dataset_meta`` lacks base or novel classes, or its class names are not
                the annotation file's in the order of their ids.
        """
        for field in ("classes", "base_classes", "novel_classes"):
            if field not in self.dataset_meta:
                raise ValueError(
                    f"dataset metainfo has no {field!r}: use react_mm.OpenVocabularyCocoDataset"
                )
        if self._coco_api is not None:
            self._index_classes()
        figures: dict[str, float] = {}
        kinds = self.metrics
        try:
            for kind in kinds:
                self.metrics = [kind]
                figures.update(self._of_kind(kind, super().compute_metrics(results)))
        finally:
            self.metrics = kinds
        if self.frequency is not None and not self.format_only:
            predictions = [prediction for _, prediction in results]
            limit = max(self.proposal_nums)
            ap = class_ap50(self._coco_api, predictions, self.cat_ids, self.img_ids, limit)
            figures.update(self.frequency.figures(ap, self.dataset_meta))
        return {name: float(value) for name, value in figures.items()}

    def _of_kind(self, kind: str, figures: Mapping[str, float]) -> dict[str, float]:
        """Figures of masks under names of their own; zeros where nothing was predicted."""
        if not figures and not self.format_only:
            print_log(f"no {kind} was predicted in any image: all AP are 0", logger="current")
            figures = dict.fromkeys((*_GROUPS, f"{kind}_mAP", f"{kind}_mAP_50"), 0.0)
        if kind != "segm":
            return dict(figures)
        return {
            name if name.startswith("segm_") else f"segm_{name}": value
            for name, value in figures.items()
        }

    def _index_classes(self) -> None:
        """Category ids in the order of the labels, which is that of the ids."""
        by_name = {c["name"]: c["id"] for c in self._coco_api.dataset["categories"]}
        classes = tuple(self.dataset_meta["classes"])
        lacking = [name for name in classes if name not in by_name]
        if lacking:
            raise ValueError(
                f"{self.ann_file}: no categories {lacking[:5]}; the data set has {len(classes)} "
                f"classes, the file {len(by_name)}"
            )
        ids = [by_name[name] for name in classes]
        if ids != sorted(ids):
            raise ValueError(
                f"{self.ann_file}: classes are not in the order of the category ids, which "
                "COCOeval uses; use react_mm.OpenVocabularyCocoDataset, which sorts them"
            )
        self.cat_ids = ids
        self.base_cat_ids = [by_name[name] for name in self.dataset_meta["base_classes"]]
        self.novel_cat_ids = [by_name[name] for name in self.dataset_meta["novel_classes"]]
