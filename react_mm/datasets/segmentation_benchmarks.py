"""The public segmentation sets in their own folder formats (needs mmseg)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmseg.datasets import (
    ADE20KDataset,
    CityscapesDataset,
    COCOStuffDataset,
    PascalContextDataset,
    PascalContextDataset59,
    PascalVOCDataset,
)

from react_mm.datasets.segmentation import BACKGROUND, SeenClassesDataset
from react_mm.prompts import Vocabulary, read_concepts
from react_mm.registry import DATASETS
from react_mm.segmentation_sets import SPLITS, class_file, unseen_classes
from react_mm.suggestions import near_matches


@dataclass(frozen=True)
class Format:
    """How a set lies on disk.

    Attributes:
        labels: Its own class names, in the order of the labels.
        seg_map_suffix: End of a label map's name, in place of ``img_suffix``.
        img_suffix: End of an image's name.
        reduce_zero_label: Whether label 0 is ignored and label i + 1 is class i.
    """

    labels: tuple[str, ...]
    seg_map_suffix: str = ".png"
    img_suffix: str = ".jpg"
    reduce_zero_label: bool = False


def _names(dataset: type) -> tuple[str, ...]:
    return tuple(name.strip() for name in dataset.METAINFO["classes"])


FORMATS: dict[str, Format] = {
    "voc20": Format(_names(PascalVOCDataset)[1:], reduce_zero_label=True),
    "voc21": Format(_names(PascalVOCDataset)),
    "context59": Format(_names(PascalContextDataset59), reduce_zero_label=True),
    "context60": Format(_names(PascalContextDataset)),
    "coco-object": Format((BACKGROUND, *_names(COCOStuffDataset)[:80]), "_instanceTrainIds.png"),
    "coco-stuff164k": Format(_names(COCOStuffDataset), "_labelTrainIds.png"),
    "ade150": Format(_names(ADE20KDataset), reduce_zero_label=True),
    "cityscapes": Format(
        _names(CityscapesDataset), "_gtFine_labelTrainIds.png", "_leftImg8bit.png"
    ),
}
"""Formats by name, as mmseg's converters write them."""


@DATASETS.register_module()
class BenchmarkSegDataset(SeenClassesDataset):
    """A public set with its classes named by a concept file that is checked against its labels.

    Args:
        benchmark: Key of :data:`FORMATS`.
        names: Concept file (``name; synonym`` per line) in the order of the labels; None: the one
            that comes with the package. In each row the set's own name must stand, first or as a
            synonym; the first name is the one that figures are reported under.
        unseen: Unseen classes: names, a concept file, or a split of
            :data:`react_mm.segmentation_sets.SPLITS`.
        only_seen: Whether pixels of unseen classes are ignored and the seen ones are all classes:
            for training.
        **kwargs: Those of mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If the set is unknown, the concept file is not of its classes (row, name and
            label are named), an unseen class is none of them, or there are no images.
    """

    def __init__(
        self,
        benchmark: str,
        names: str | None = None,
        unseen: str | Sequence[str] | None = None,
        only_seen: bool = False,
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        **kwargs: Any,
    ) -> None:
        shipped = class_file(benchmark)
        form = FORMATS[benchmark]
        vocabulary = read_concepts(shipped if names is None else names)
        check_labels(vocabulary, form.labels, str(names or shipped))
        if isinstance(unseen, str) and unseen in SPLITS:
            unseen = unseen_classes(unseen, benchmark)
        super().__init__(
            vocabulary=vocabulary,
            unseen=unseen,
            only_seen=only_seen,
            where=str(names or shipped),
            img_suffix=img_suffix or form.img_suffix,
            seg_map_suffix=seg_map_suffix or form.seg_map_suffix,
            reduce_zero_label=form.reduce_zero_label,
            **kwargs,
        )


def check_labels(vocabulary: Vocabulary, labels: Sequence[str], where: str) -> None:
    """Checks that row i of a concept file names label i of a set.

    Spaces, case, the order of words and COCO-Stuff's endings (``-other``, ``-stuff``) do not count:
    ``brick wall`` is ``wall-brick``.

    Args:
        vocabulary: Names and synonyms.
        labels: The set's own names.
        where: The file, for the message.

    Raises:
        ValueError: Naming the first row that is wrong, or the number of rows.
    """
    for row, (name, label) in enumerate(zip(vocabulary.names, labels, strict=False), 1):
        written = {form for n in vocabulary.all_names(name) for form in _forms(n)}
        if not written & set(_forms(label)):
            place = [
                i for i, other in enumerate(vocabulary.names, 1) if _forms(other) & _forms(label)
            ]
            found = f" (it stands in row {place[0]})" if place else ""
            raise ValueError(
                f"{where}: class {row} is {name!r}, the label of that number is {label!r}{found}; "
                f"name it so, or give {label!r} as a synonym{near_matches(name, labels)}"
            )
    if len(vocabulary) != len(labels):
        raise ValueError(
            f"{where} has {len(vocabulary)} classes, the set {len(labels)}: "
            + ", ".join(labels[len(vocabulary) :][:5] or vocabulary.names[len(labels) :][:5])
        )


def _forms(name: str) -> set[str]:
    """What a name is compared by: its letters, and its words in alphabetical order."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    kept = [w for w in words if w not in ("other", "stuff")] or words
    return {"".join(kept), " ".join(sorted(kept))}
