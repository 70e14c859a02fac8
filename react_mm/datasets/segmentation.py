"""Semantic segmentation data whose classes come from a concept file (needs mmseg)."""

from collections.abc import Sequence
from typing import Any

from mmseg.datasets import BaseSegDataset, PascalVOCDataset

from react_mm.datasets.base_novel import check_classes, read_names, split_classes
from react_mm.prompts import read_concepts
from react_mm.registry import DATASETS

BACKGROUND = "background"


@DATASETS.register_module()
class ConceptSegDataset(BaseSegDataset):
    """mmseg's data set with ``background`` and the concepts of a file as classes.

    Label 0 is the background, label i + 1 the i-th concept: the layout of the drawn world. Images
    and label maps share their names.

    Args:
        concepts: Concept file (``name; synonym`` per line), in the order of the labels.
        novel: Novel (target) classes: names, or a concept file.
        **kwargs: Those of mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If a novel name is no concept.
    """

    METAINFO: dict[str, Any] = {}

    def __init__(
        self,
        concepts: str,
        novel: str | Sequence[str] | None = None,
        img_suffix: str = ".png",
        seg_map_suffix: str = ".png",
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        vocabulary = read_concepts(concepts)
        target = read_names(novel)
        check_classes(target, vocabulary.names, str(concepts))
        base, novel_names = split_classes(vocabulary.names, target)
        classes = (BACKGROUND, *vocabulary.names)
        own = dict(
            classes=classes,
            palette=[_colour(i) for i in range(len(classes))],
            base_classes=base,
            novel_classes=novel_names,
            synonyms={name: vocabulary.all_names(name)[1:] for name in vocabulary.names},
        )
        super().__init__(
            metainfo={**own, **(metainfo or {})},
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            reduce_zero_label=False,
            **kwargs,
        )


def _colour(index: int) -> list[int]:
    """A colour per label, far from its neighbours'; black for the background."""
    return [0, 0, 0] if index == 0 else [(index * step) % 200 + 40 for step in (67, 113, 181)]


@DATASETS.register_module()
class VOC20Dataset(PascalVOCDataset):
    """Pascal VOC 2012 with its 20 object classes; the background is ignored (VOC20).

    Label maps are VOC's own: 0 becomes 255, class i + 1 becomes i. Names are written as a caption
    would write them (``potted plant`` for ``pottedplant``).

    Args:
        **kwargs: Those of mmseg's ``PascalVOCDataset``.
    """

    METAINFO: dict[str, Any] = dict(
        classes=(
            *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
            *("cow", "dining table", "dog", "horse", "motorbike", "person", "potted plant"),
            *("sheep", "sofa", "train", "tv monitor"),
        ),
        palette=PascalVOCDataset.METAINFO["palette"][1:],
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(reduce_zero_label=True, **kwargs)
