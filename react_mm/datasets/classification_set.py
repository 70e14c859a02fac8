"""A public classification set in the user's folder, checked against the set's own class list."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from react_mm.classification_sets import folder_lines, read_card
from react_mm.datasets.zero_shot import ZeroShotDataset
from react_mm.prompts import read_concepts
from react_mm.registry import DATASETS


@DATASETS.register_module()
class ClassificationSetDataset(ZeroShotDataset):
    """ImageNet-1k or one of ELEVATER's sets: the class list is the set's, the images are yours.

    ``PATH/SPLIT.txt`` (``image<TAB>class`` with images relative to ``PATH``; several classes in
    further columns for multi-label sets) is read where it exists, else the class folders of
    ``PATH/SPLIT``. Folders may have the class names or those of the usual archive (``n01440764``).

    Args:
        name: See :func:`react_mm.classification_sets.set_names`.
        path: The folder.
        split: ``train``, ``val`` or ``test``.
        classes: A concept list that replaces the names, one per class in the set's order.
        folders: What your folders or lists write for each class, in the same order.
        partial: Accept a part of the set: classes without an image, fewer images.
        pipeline: Transforms.
        synonyms: Whether the model is told the synonyms.

    Raises:
        FileNotFoundError: If neither the list nor the folder is there.
        ValueError: If there is no such set, ``classes`` has another count, a class has no image or
            a folder is no class.
    """

    def __init__(
        self,
        name: str,
        path: str,
        split: str = "test",
        classes: str | Sequence[str] | None = None,
        folders: Sequence[str] | None = None,
        partial: bool = False,
        pipeline: Sequence[dict | Callable] = (),
        synonyms: bool = True,
    ) -> None:
        card = read_card(name)
        listed = (Path(path) / f"{split}.txt").is_file()
        if not listed and not (Path(path) / split).is_dir():
            raise FileNotFoundError(
                f"{name}: neither the list {Path(path) / split}.txt nor the folder "
                f"{Path(path) / split} exists"
            )
        names = read_concepts(name if classes is None else classes)
        if len(names) != card.classes:
            raise ValueError(f"{name} has {card.classes} classes, {classes} names {len(names)}")
        if card.multi_label and not listed:
            raise ValueError(f"{name} has several classes per image: {path}/{split}.txt is needed")
        super().__init__(
            path if listed else str(Path(path) / split),
            classes=name if classes is None else classes,
            list_file=f"{split}.txt" if listed else None,
            folders=folder_lines(name) if folders is None else folders,
            multi_label=card.multi_label,
            complete=not partial,
            pipeline=pipeline,
            synonyms=synonyms,
        )
        self.card, self.split = card, split
        expected = card.images.get(split)
        if expected is not None and expected != len(self):
            print_log(
                f"{name}: {len(self)} images in {path} ({split}), the published split has "
                f"{expected}; values are not comparable with published ones",
                logger="current",
                level=30,
            )

    @property
    def metainfo(self) -> dict[str, Any]:
        """As of :class:`ZeroShotDataset`, with ``set``, ``split`` and ``published_images``."""
        return {
            **super().metainfo,
            "set": self.card.name,
            "split": self.split,
            "published_images": self.card.images.get(self.split),
        }
