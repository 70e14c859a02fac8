"""LVIS-format detection data: rare classes are novel (needs mmdet, not lvis)."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from react_mm.datasets.base_novel import OV_LVIS, check_lvis_v1, rare_classes
from react_mm.datasets.detection import OpenVocabularyCocoDataset
from react_mm.registry import DATASETS

_IMAGES = "http://images.cocodataset.org/"


@DATASETS.register_module()
class OpenVocabularyLVISDataset(OpenVocabularyCocoDataset):
    """An LVIS file whose rare classes are novel, whose frequent and common ones are base (OV-LVIS).

    The split is read from the file's ``frequency`` field, counted and logged; a file named
    ``lvis_v1*`` must have 866 base and 337 novel classes, or 866 and 0 for a base-only training
    file. Images without ``file_name`` get theirs, with the folder, from ``coco_url``.

    Args:
        novel: ``ov-lvis`` for the rare classes, or what
            :class:`~react_mm.datasets.detection.OpenVocabularyCocoDataset` takes.
        file_synonyms: Write the file's ``synonyms`` of each class to ``metainfo['synonyms']``; a
            class is then scored by its best name.
        **kwargs: Those of ``OpenVocabularyCocoDataset``.

    Raises:
        ValueError: If both ``concepts`` and ``file_synonyms`` are given.
    """

    def __init__(
        self,
        *args: Any,
        novel: str | Sequence[str] | None = OV_LVIS,
        file_synonyms: bool = False,
        **kwargs: Any,
    ) -> None:
        if file_synonyms and kwargs.get("concepts") is not None:
            raise ValueError("synonyms come from `concepts` or from the file, not from both")
        self.file_synonyms = file_synonyms
        super().__init__(*args, novel=novel, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the file, derives and checks the split, and sets ``metainfo``.

        Raises:
            ValueError: As the parent; and if the file lacks ``frequency`` or is named as LVIS v1's
                and has other class counts.
        """
        asked = self._metainfo.get("classes")
        data_list = super().load_data_list()
        base, novel = self._metainfo["base_classes"], self._metainfo["novel_classes"]
        if asked is None and self._novel_source == OV_LVIS:
            check_lvis_v1(self.ann_file, base, novel)
        print_log(
            f"{self.ann_file}: {len(base)} base and {len(novel)} novel classes", logger="current"
        )
        return data_list

    def _novel_names(self, categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        if self._novel_source == OV_LVIS:
            return rare_classes(categories, self.ann_file)
        return super()._novel_names(categories)

    def _synonyms(self, categories: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]] | None:
        if not self.file_synonyms:
            return super()._synonyms(categories)
        return {
            c["name"]: tuple(name for name in c.get("synonyms", ()) if name != c["name"])
            for c in categories
        }

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        """mmdet's, with the image's path from ``coco_url`` where there is no ``file_name``.

        Raises:
            ValueError: If an image has neither.
        """
        image = raw_data_info["raw_img_info"]
        if "file_name" not in image:
            if "coco_url" not in image:
                raise ValueError(
                    f"{self.ann_file}: image {image.get('id')} has neither file_name nor coco_url"
                )
            image["file_name"] = image["coco_url"].removeprefix(_IMAGES)
        return super().parse_data_info(raw_data_info)
