"""COCO-format detection data with base and novel classes (needs mmdet)."""

from collections.abc import Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from react_mm.datasets.base_novel import check_classes, read_names, split_classes
from react_mm.prompts import Vocabulary, read_concepts
from react_mm.registry import DATASETS


class SortedCOCO(COCO):
    """COCO annotations whose categories are sorted by id.

    COCOeval sorts the ids, mmdet indexes by file order: with ascending ids both agree.
    """

    def createIndex(self) -> None:
        """Sorts the categories, then indexes as pycocotools does."""
        if "categories" in self.dataset:
            self.dataset["categories"].sort(key=lambda category: category["id"])
        super().createIndex()


@DATASETS.register_module()
class OpenVocabularyCocoDataset(CocoDataset):
    """A COCO-format data set whose ``metainfo`` says which classes are base and novel.

    Labels follow the categories of the file, sorted by id; ``metainfo['classes']`` is set to
    their names in that order, so that class embeddings made from it are in the order of the
    labels. Without ``metainfo['classes']`` all categories of the file are classes.

    Args:
        novel: Novel classes: names, or a concept file. Names the file lacks are refused, unless
            ``only_base`` is set.
        only_base: Whether this is a training file: its classes are the base classes, and boxes of
            novel classes in it are refused.
        concepts: Concept file with synonyms, written to ``metainfo['synonyms']``.
        **kwargs: Those of mmdet's ``CocoDataset``.
    """

    METAINFO: dict[str, Any] = {}
    COCOAPI = SortedCOCO

    def __init__(
        self,
        *args: Any,
        novel: str | Sequence[str] | None = None,
        only_base: bool = False,
        concepts: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.novel = read_names(novel)
        self.only_base = only_base
        self.concepts: Vocabulary | None = None if concepts is None else read_concepts(concepts)
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the file, checks its classes and sets ``metainfo``.

        Raises:
            FileNotFoundError: If the annotation file does not exist.
            ValueError: If classes are asked for which the file lacks, or a training file holds
                boxes of novel classes.
        """
        coco = self.COCOAPI(self.ann_file)
        categories = coco.dataset.get("categories", [])
        if not categories:
            raise ValueError(f"{self.ann_file}: no categories; is it a COCO instances file?")
        kept = self._choose_classes(coco, [category["name"] for category in categories])
        base, novel = split_classes(kept, self.novel)
        self._metainfo.update(classes=tuple(kept), base_classes=base, novel_classes=novel)
        if self.concepts is not None:
            self._metainfo["synonyms"] = {name: self.concepts.all_names(name)[1:] for name in kept}
        self.COCOAPI = lambda _: coco  # large files are read once
        try:
            data_list = super().load_data_list()
        finally:
            del self.COCOAPI
        by_id = {category["id"]: category["name"] for category in categories}
        order = tuple(by_id[i] for i in self.cat_ids)
        assert order == self._metainfo["classes"], "labels and class names are in different orders"
        return data_list

    def _choose_classes(self, coco: COCO, names: list[str]) -> list[str]:
        """The classes, in the order of the category ids, out of the file's category names."""
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{self.ann_file}: category names stand twice: {twice[:5]}")
        asked = self._metainfo.get("classes")
        if asked is not None:
            check_classes(asked, names, self.ann_file)
        kept = [name for name in names if asked is None or name in set(asked)]
        if not self.only_base:
            check_classes(self.novel, kept, self.ann_file)
            return kept
        novel = {c["id"]: c["name"] for c in coco.dataset["categories"] if c["name"] in self.novel}
        held = [novel[a["category_id"]] for a in coco.anns.values() if a["category_id"] in novel]
        if held:
            raise ValueError(
                f"{self.ann_file} is a base-only training file but holds {len(held)} boxes of "
                f"novel classes ({', '.join(sorted(set(held))[:5])}); make one with "
                "tools/convert_ov_dataset.py"
            )
        return [name for name in kept if name not in self.novel]

    def filter_data(self) -> list[dict]:
        """mmdet's filter; says how many images it drops."""
        kept = super().filter_data()
        if len(kept) < len(self.data_list):
            print_log(
                f"{self.ann_file}: {len(self.data_list) - len(kept)} of {len(self.data_list)} "
                f"images dropped by filter_cfg={self.filter_cfg}",
                logger="current",
            )
        return kept
