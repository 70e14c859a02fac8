"""Semantic segmentation data whose classes are names, seen and unseen (needs mmseg)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from react_mm.datasets.base_novel import check_classes, read_names, split_classes
from react_mm.prompts import Vocabulary, read_concepts
from react_mm.registry import DATASETS

BACKGROUND = "background"
IGNORED = 255


class SeenClassesDataset(BaseSegDataset):
    """mmseg's data set with named classes, of which some may be unseen in training.

    ``metainfo`` has ``classes``, ``synonyms`` by name, ``base_classes`` (seen; the background is
    one) and ``novel_classes`` (unseen).

    Args:
        vocabulary: Names and synonyms in the order of the labels.
        unseen: Unseen classes: names, or a concept file.
        only_seen: Whether pixels of unseen classes are ignored and the seen ones are all classes,
            numbered anew in their order: for training.
        where: Where the names come from, for messages.
        synonyms: Whether the synonyms are handed on; else each class has its name alone.
        metainfo: Further entries.
        **kwargs: Those of mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If an unseen name is no class, no class is seen, or there are no images.
    """

    METAINFO: dict[str, Any] = {}

    def __init__(
        self,
        vocabulary: Vocabulary,
        unseen: str | Sequence[str] | None = None,
        only_seen: bool = False,
        where: str = "class list",
        synonyms: bool = True,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        novel = read_names(unseen)
        check_classes(novel, vocabulary.names, where)
        seen, unseen_names = split_classes(vocabulary.names, novel)
        if not [name for name in seen if name != BACKGROUND]:
            raise ValueError(f"{where}: all of the {len(novel)} classes are unseen, none is left")
        classes = seen if only_seen else vocabulary.names
        self._new_labels = None
        if only_seen and unseen_names:
            self._new_labels = {
                row: classes.index(name) if name in classes else IGNORED
                for row, name in enumerate(vocabulary.names)
            }
        own = dict(
            classes=classes,
            palette=[_colour(i, name) for i, name in enumerate(classes)],
            base_classes=seen,
            novel_classes=() if only_seen else unseen_names,
            synonyms={n: vocabulary.all_names(n)[1:] for n in classes} if synonyms else {},
        )
        # Plain types: checkpoints keep this, and a config's own dicts would not load safely.
        given = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in (metainfo or {}).items()
        }
        super().__init__(metainfo={**own, **given}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Images with their label maps; labels of unseen classes are told to be ignored.

        Raises:
            FileNotFoundError: If the image folder does not exist.
            ValueError: If there is no image in it, or one has no label map.
        """
        folder = Path(self.data_prefix.get("img_path") or "")
        if not folder.is_dir():
            raise FileNotFoundError(f"image folder {folder} does not exist")
        if self._new_labels is not None:
            self.label_map = self._new_labels
            self._metainfo["label_map"] = self.label_map
        found = super().load_data_list()
        if not found:
            raise ValueError(f"{folder} has no images *{self.img_suffix}")
        maps = self.data_prefix.get("seg_map_path")
        for row in (found[0], found[-1]) if maps else ():
            if not Path(row["seg_map_path"]).is_file():
                raise ValueError(
                    f"{row['img_path']} has no label map {row['seg_map_path']}: label maps are "
                    f"named as the images, with {self.seg_map_suffix!r} for {self.img_suffix!r}"
                )
        return found


@DATASETS.register_module()
class ConceptSegDataset(SeenClassesDataset):
    """A folder of images and one of label maps, with the classes of a concept file.

    Label 0 is the background, label i + 1 the i-th concept, 255 is ignored. Images and label maps
    share their names.

    Args:
        concepts: Concept file (``name; synonym`` per line), in the order of the labels.
        novel: Novel (target, unseen) classes: names, or a concept file.
        only_base: See ``only_seen`` of :class:`SeenClassesDataset`.
        background: Whether label 0 is a class named ``background``; else it is ignored.
        **kwargs: Those of :class:`SeenClassesDataset`.

    Raises:
        ValueError: If a novel name is no concept.
    """

    def __init__(
        self,
        concepts: str,
        novel: str | Sequence[str] | None = None,
        only_base: bool = False,
        background: bool = True,
        img_suffix: str = ".png",
        seg_map_suffix: str = ".png",
        **kwargs: Any,
    ) -> None:
        vocabulary = read_concepts(concepts)
        if background:
            vocabulary = Vocabulary((BACKGROUND, *vocabulary.names), vocabulary.synonyms)
        super().__init__(
            vocabulary=vocabulary,
            unseen=novel,
            only_seen=only_base,
            where=str(concepts),
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            reduce_zero_label=not background,
            **kwargs,
        )


def _colour(index: int, name: str) -> list[int]:
    """A colour per label, far from its neighbours'; black for the background."""
    return [0, 0, 0] if name == BACKGROUND else [(index * s) % 200 + 40 for s in (67, 113, 181)]
