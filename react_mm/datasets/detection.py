"""COCO-format detection data with base and novel classes (needs mmdet)."""

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from react_mm.datasets.base_novel import check_classes, read_coco, read_names, split_classes
from react_mm.datasets.ignore_regions import FIELD, LABEL, ignored_instances, novel_regions
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
        novel: Novel classes: names, a concept file, or ``all`` (zero-shot: nothing was trained on
            these classes). Names the file lacks are refused, unless ``only_base`` is set.
        only_base: Whether this is a training file: its classes are the base classes, and boxes of
            novel classes in it are refused.
        ignore_novel: For a training file: keep the places of novel objects, without their names,
            as boxes that losses ignore (``gt_instances_ignore``, label -1). True takes them from
            the training file (``tools/convert_ov_dataset.py --novel-as-ignore``); a path (joined to
            ``data_root`` as ``ann_file`` is) from a file that has the novel boxes.
        concepts: Concept file with synonyms, written to ``metainfo['synonyms']``.
        **kwargs: Those of mmdet's ``CocoDataset``.

    Raises:
        ValueError: If ``ignore_novel`` is set without ``only_base``.
    """

    METAINFO: dict[str, Any] = {}
    COCOAPI = SortedCOCO

    def __init__(
        self,
        *args: Any,
        novel: str | Sequence[str] | None = None,
        only_base: bool = False,
        ignore_novel: bool | str = False,
        concepts: str | None = None,
        **kwargs: Any,
    ) -> None:
        if ignore_novel and not only_base:
            raise ValueError("ignore_novel is for training files: set only_base=True as well")
        self._novel_source = novel
        self.novel: tuple[str, ...] = ()
        self.only_base = only_base
        self.ignore_novel = ignore_novel
        self.concepts: Vocabulary | None = None if concepts is None else read_concepts(concepts)
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the file, checks its classes and sets ``metainfo``.

        Raises:
            FileNotFoundError: If the annotation file does not exist.
            ValueError: If classes are asked for which the file lacks, a training file holds boxes
                of novel classes, or the places of novel objects are asked for and not there.
        """
        coco = self.COCOAPI(self.ann_file)
        categories = coco.dataset.get("categories", [])
        if not categories:
            raise ValueError(f"{self.ann_file}: no categories; is it a COCO instances file?")
        self.novel = self._novel_names(categories)
        kept = self._choose_classes(coco, [category["name"] for category in categories])
        base, novel = split_classes(kept, self.novel)
        self._metainfo.update(classes=tuple(kept), base_classes=base, novel_classes=novel)
        synonyms = self._synonyms(categories)
        if synonyms is not None:
            self._metainfo["synonyms"] = {name: synonyms[name] for name in kept}
        self.COCOAPI = lambda _: coco  # large files are read once
        try:
            data_list = super().load_data_list()
        finally:
            del self.COCOAPI
        by_id = {category["id"]: category["name"] for category in categories}
        order = tuple(by_id[i] for i in self.cat_ids)
        assert order == self._metainfo["classes"], "labels and class names are in different orders"
        if self.ignore_novel:
            self._add_ignored(data_list, coco.dataset)
        return data_list

    def _novel_names(self, categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Names of the novel classes, given a file's categories."""
        if self._novel_source != "all":
            return read_names(self._novel_source)
        if self.only_base:
            raise ValueError("novel='all' leaves no base class to train on")
        asked = self._metainfo.get("classes")
        names = (category["name"] for category in categories)
        return tuple(name for name in names if asked is None or name in asked)

    def _synonyms(self, categories: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]] | None:
        """Further names of each class, or None where there is no list of them."""
        if self.concepts is None:
            return None
        return {c["name"]: self.concepts.all_names(c["name"])[1:] for c in categories}

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

    def _add_ignored(self, data_list: list[dict], own: Mapping[str, Any]) -> None:
        """Appends the places of novel objects to the instances of their images."""
        sizes = {info["img_id"]: (info["height"], info["width"]) for info in data_list}
        found = ignored_instances(self._regions(own, sizes), sizes)
        for info in data_list:
            info["instances"] += found.get(info["img_id"], [])
        print_log(
            f"{self.ann_file}: {sum(map(len, found.values()))} places of novel objects are ignored "
            f"in {len(found)} of {len(data_list)} images",
            logger="current",
        )

    def _regions(self, own: Mapping[str, Any], images: Mapping[Any, Any]) -> list[dict[str, Any]]:
        """Regions of the training file, or of the file that ``ignore_novel`` names."""
        if not isinstance(self.ignore_novel, str):
            if FIELD not in own:
                raise ValueError(
                    f"{self.ann_file} has no field {FIELD!r}: write it again with "
                    "tools/convert_ov_dataset.py --novel-as-ignore, or give ignore_novel the path "
                    "of an annotation file that has the novel boxes"
                )
            return own[FIELD]
        path = self.ignore_novel
        if self.data_root and not osp.isabs(path):
            path = osp.join(self.data_root, path)
        full = read_coco(path)
        novel = self._novel_names(full["categories"])
        check_classes(novel, [category["name"] for category in full["categories"]], path)
        if not {image["id"] for image in full["images"]} & set(images):
            raise ValueError(f"{path} has none of the images of {self.ann_file}")
        return novel_regions(full, novel, images)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of an image, as samplers that balance classes ask; ignored places are no class."""
        return [label for label in super().get_cat_ids(idx) if label != LABEL]

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
