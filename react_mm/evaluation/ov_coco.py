"""AP on base and novel classes in one pass (needs mmdet)."""

from typing import Any

from mmdet.evaluation.metrics import OVCocoMetric
from mmengine.logging import print_log

from react_mm.registry import METRICS

_EMPTY = ("base_ap", "novel_ap", "base_ap50", "novel_ap50", "bbox_mAP", "bbox_mAP_50")


@METRICS.register_module()
class OpenVocabularyCocoMetric(OVCocoMetric):
    """mmdet's ``OVCocoMetric`` with its silent traps closed.

    Category ids are sorted, as COCOeval sorts them; class names are checked against the annotation
    file; without any prediction all figures are 0 instead of absent. ``base_ap50``, ``novel_ap50``
    and ``bbox_mAP_50`` are the figures of OV-COCO (generalised setting). A group without any class
    keeps mmdet's -1.

    Args:
        ann_file: COCO instances file of the data set.
        **kwargs: Those of mmdet's ``CocoMetric``.
    """

    default_prefix = "ov_coco"

    def __init__(self, ann_file: str | None = None, **kwargs: Any) -> None:
        super().__init__(ann_file=ann_file, **kwargs)
        self.ann_file = ann_file

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
        figures = super().compute_metrics(results)
        if not figures and not self.format_only:
            print_log("nothing was predicted in any image: all AP are 0", logger="current")
            figures = dict.fromkeys(_EMPTY, 0.0)
        return {name: float(value) for name, value in figures.items()}

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
