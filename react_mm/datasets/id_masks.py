"""Semantic segmentation masks that hold category ids with gaps (needs mmseg)."""

import re
from pathlib import Path
from typing import Any

import yaml
from mmseg.datasets import BaseSegDataset

from react_mm.registry import DATASETS

IGNORED = 255
SUFFIX = re.compile(r"(-merged|-other|-stuff)+$")


@DATASETS.register_module()
class IdMaskDataset(BaseSegDataset):
    """Index masks whose values are category ids, named by a YAML file (COCO panoptic ids).

    Label i is the i-th id of the file in ascending order; id 0 and pixels of no class are ignored.
    Only images with a mask are taken. Names lose the endings by which COCO marks joined stuff
    classes (``sky-other-merged`` is ``sky``).

    Args:
        id_file: YAML file with ``classes: {id: name}``.
        **kwargs: Those of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If the file or a folder is missing.
        ValueError: If it names no classes, two alike, or there is no image with a mask.
    """

    METAINFO: dict[str, Any] = {}

    def __init__(self, id_file: str, **kwargs: Any) -> None:
        if not Path(id_file).is_file():
            raise FileNotFoundError(f"class file {id_file} does not exist")
        content = yaml.safe_load(Path(id_file).read_text(encoding="utf-8")) or {}
        ids = sorted(
            (int(i), SUFFIX.sub("", str(n))) for i, n in content.get("classes", {}).items()
        )
        kept = [(number, name) for number, name in ids if number != 0]
        names = [name for _, name in kept]
        if not names or len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{id_file}: no class, or names that stand twice: {twice[:5]}")
        self._ids = {number: row for row, (number, _) in enumerate(kept)}
        super().__init__(
            metainfo={"classes": tuple(names), "palette": [_colour(i) for i in range(len(names))]},
            reduce_zero_label=False,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Images that have a mask; ids become labels when the mask is read."""
        self.label_map = {i: self._ids.get(i, IGNORED) for i in range(256)}
        self._metainfo["label_map"] = self.label_map
        listed = super().load_data_list()
        kept = [row for row in listed if Path(row["seg_map_path"]).is_file()]
        if not kept:
            raise ValueError(f"{self.data_prefix}: {len(listed)} images, none of them has a mask")
        return kept


def _colour(index: int) -> list[int]:
    return [(index * step) % 200 + 40 for step in (67, 113, 181)]
