"""Evaluation sets: labelled images for zero-shot classification, captioned ones for retrieval."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset

from react_mm.datasets.caption_lists import json_rows, read_captions
from react_mm.datasets.images import (
    DamagedImageError,
    decode_image,
    read_image,
    to_uint8_chw,
)
from react_mm.datasets.label_lists import (
    LabelledRow,
    LabelNumbers,
    class_folders,
    listed_images,
    resolve_groups,
)
from react_mm.datasets.pair_sources import PairSource
from react_mm.datasets.tar_index import TarReader
from react_mm.prompts import Vocabulary, clean_name, read_concepts
from react_mm.registry import DATASETS, TRANSFORMS
from react_mm.suggestions import near_matches

Names = str | Sequence[str]


class _Images(Dataset):
    """Images on disk through a pipeline; a damaged one is an error: no score may skip it."""

    def __init__(self, pipeline: Sequence[dict | Callable]) -> None:
        self.transforms = [TRANSFORMS.build(t) if isinstance(t, Mapping) else t for t in pipeline]
        self.files: list[tuple[str, Path]] = []
        self.members: list[tuple[int, int]] = []  # (offset, size) of each where files are shards
        self.reader = TarReader()

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int) -> dict[str, Any]:
        """``inputs`` uint8 (3, H, W) and ``key`` of an image."""
        key, path = self.files[index]
        results = {"image": self._read(index, key, path)}
        for transform in self.transforms:
            results = transform(results)
        return {"inputs": to_uint8_chw(results["image"]), "key": key}

    def _read(self, index: int, key: str, path: Path) -> Image.Image:
        if not self.members:
            return read_image(path)
        try:
            return decode_image(self.reader.read(path, *self.members[index]))
        except DamagedImageError as error:
            raise DamagedImageError(f"{key} in {path}: {error}") from error


@DATASETS.register_module()
class ZeroShotDataset(_Images):
    """Labelled images: a folder with one folder per class, or a list of pairs with a label field.

    Args:
        path: The folder.
        classes: Class names in the order of the labels: a concept list (file or lines ``name;
            synonym``), or None for the names found, sorted. A name fits a folder or label also
            where these write ``_`` or ``-`` for a space.
        groups: Groups to report: name -> a concept list, or ``'rest'`` for all other classes.
        label_field: Field of ``pairs.jsonl`` with the class; None: class folders.
        where: Equality filter on the rows of ``pairs.jsonl``.
        pipeline: Transforms (:mod:`react_mm.datasets.transforms`).
        pairs: Name of the list.
        synonyms: Whether the model is told the synonyms of ``classes`` (a class then takes its best
            name); False leaves the names alone.
        list_file: A list ``image<TAB>label`` instead of class folders, relative to ``path``, as are
            its images.
        multi_label: An image may have several classes (``list_file`` with further tabs); ``label``
            is then uint8 (C,), 1 for each class of the image.
        folders: What folders or lists write for each class, in the order of ``classes``, where that
            is not its name.
        complete: Refuse a folder or list without images of some class.

    Raises:
        FileNotFoundError: If the folder or a list is missing.
        ValueError: If there are no images, a label is not in ``classes``, or a group names an
            unknown class.
    """

    def __init__(
        self,
        path: str,
        classes: Names | None = None,
        groups: Mapping[str, Names] | None = None,
        label_field: str | None = None,
        where: Mapping[str, Any] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        pairs: str = "pairs.jsonl",
        synonyms: bool = True,
        list_file: str | None = None,
        multi_label: bool = False,
        folders: Sequence[str] | None = None,
        complete: bool = False,
    ) -> None:
        super().__init__(pipeline)
        folder = Path(path)
        if not folder.is_dir():
            raise FileNotFoundError(f"evaluation folder {path} does not exist")
        if list_file is not None:
            found = list(listed_images(folder / list_file, multi_label))
        elif label_field is None:
            found = list(class_folders(folder))
        else:
            found = list(_labelled_rows(folder, pairs, label_field, where or {}))
        if not found:
            raise ValueError(f"{path}: no image of a known type in any class")
        if classes is None:
            names = sorted({clean_name(label) for labels, _ in found for label in labels})
            self.vocabulary = Vocabulary(tuple(names))
        else:
            self.vocabulary = read_concepts(classes)
        if not synonyms:
            self.vocabulary = Vocabulary(self.vocabulary.names)
        number = LabelNumbers(self.vocabulary.names, folders)
        self.multi_label = multi_label
        self.labels: list[int] | list[list[int]] = []
        for written, name in found:
            labels = [number(w, f"{path}: the label {w!r} (image {name})") for w in written]
            self.labels.append(labels if multi_label else labels[0])
            self.files.append((name, folder / name))
        if complete:
            flat = (i for labels in self.labels for i in (labels if multi_label else [labels]))
            number.check_complete(flat, str(folder / list_file) if list_file else str(folder))
        listed = {
            group: source if source == "rest" else read_concepts(source).names
            for group, source in (groups or {}).items()
        }
        self.groups = resolve_groups(listed, self.vocabulary.names)

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes`` (tuple, in label order), ``synonyms``, ``groups`` (name -> class names)."""
        return {
            "classes": self.vocabulary.names,
            "synonyms": {k: list(v) for k, v in self.vocabulary.synonyms.items()},
            "groups": {k: list(v) for k, v in self.groups.items()},
        }

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs`` uint8 (3, H, W), ``label`` int or uint8 (C,), ``key`` str."""
        label = self.labels[index]
        if self.multi_label:
            present = torch.zeros(len(self.vocabulary), dtype=torch.uint8)
            present[label] = 1
            label = present
        return {**self.load(index), "label": label}


@DATASETS.register_module()
class RetrievalDataset(_Images):
    """Images with one or several captions each, for recall@k in both directions.

    Args:
        path: Folder of the images and of the list; or shards of pairs (a ``.tar``, a glob, a folder
            of them), whose one caption each is used.
        annotations: ``pairs.jsonl`` (rows with ``image`` and ``captions`` or ``text``), a COCO
            captions file or one of Karpathy's splits (``.json``), relative to ``path``.
        images: Folder of the images of a ``.json`` file, relative to ``path``.
        where: Equality filter on the rows of ``pairs.jsonl`` and of Karpathy's splits.
        max_captions: Keep this many captions of an image.
        max_images: Keep the first so many images.
        pipeline: Transforms.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If no image has a caption.
    """

    def __init__(
        self,
        path: str,
        annotations: str = "pairs.jsonl",
        images: str = "",
        where: Mapping[str, Any] | None = None,
        max_captions: int | None = None,
        max_images: int | None = None,
        pipeline: Sequence[dict | Callable] = (),
    ) -> None:
        super().__init__(pipeline)
        self.captions: list[list[str]] = []
        folder = Path(path)
        if folder.is_dir() and not any(folder.glob("*.tar")):
            self._fill_from_list(folder, annotations, images, where or {})
        else:
            for row in PairSource(path, where=where).read(Counter()):
                self.files.append((row.key, Path(row.file)))
                self.members.append((row.offset, row.size))
                self.captions.append([" ".join(row.caption.split())])
        self.captions = [texts[:max_captions] for texts in self.captions[:max_images]]
        self.files = self.files[:max_images]

    def _fill_from_list(
        self, folder: Path, annotations: str, images: str, where: Mapping[str, Any]
    ) -> None:
        if not (folder / annotations).is_file():
            raise FileNotFoundError(f"caption list {folder / annotations} does not exist")
        rows = read_captions(folder / annotations, images, where)
        for name, texts in rows.items():
            texts = [" ".join(t.split()) for t in texts if isinstance(t, str) and t.strip()]
            if texts:
                self.files.append((name, folder / name))
                self.captions.append(texts)
        if not self.files:
            raise ValueError(f"{folder / annotations}: no image with a caption")

    @property
    def metainfo(self) -> dict[str, Any]:
        """``num_captions``."""
        return {"num_captions": sum(map(len, self.captions))}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs`` uint8 (3, H, W), ``captions`` str (joined by newlines), ``key`` str."""
        return {**self.load(index), "captions": "\n".join(self.captions[index])}


def _labelled_rows(
    folder: Path, pairs: str, field: str, where: Mapping[str, Any]
) -> Iterator[LabelledRow]:
    if not (folder / pairs).is_file():
        raise FileNotFoundError(f"list {folder / pairs} does not exist")
    for row in json_rows(folder / pairs, where):
        if field not in row:
            raise ValueError(
                f"{folder / pairs}: {row['image']} has no field {field!r}{near_matches(field, row)}"
            )
        yield (str(row[field]),), row["image"]
