"""Evaluation sets: labelled images for zero-shot classification, captioned ones for retrieval."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from react_mm.datasets.images import (
    IMAGE_SUFFIXES,
    DamagedImageError,
    decode_image,
    read_image,
    to_uint8_chw,
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
    ) -> None:
        super().__init__(pipeline)
        folder = Path(path)
        if not folder.is_dir():
            raise FileNotFoundError(f"evaluation folder {path} does not exist")
        if label_field is None:
            found = list(_class_folders(folder))
        else:
            found = list(_labelled_rows(folder, pairs, label_field, where or {}))
        if not found:
            raise ValueError(f"{path}: no image of a known type in any class")
        if classes is None:
            names = sorted({clean_name(label) for label, _ in found})
            self.vocabulary = Vocabulary(tuple(names))
        else:
            self.vocabulary = read_concepts(classes)
        if not synonyms:
            self.vocabulary = Vocabulary(self.vocabulary.names)
        number = {_folded(name): i for i, name in enumerate(self.vocabulary.names)}
        self.labels: list[int] = []
        for label, name in found:
            if _folded(label) not in number:
                raise ValueError(
                    f"{path}: the label {label!r} (image {name}) is not one of the "
                    f"{len(number)} classes{near_matches(label, self.vocabulary.names)}"
                )
            self.labels.append(number[_folded(label)])
            self.files.append((name, folder / name))
        self.groups = _resolve_groups(groups or {}, self.vocabulary.names)

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes`` (tuple, in label order), ``synonyms``, ``groups`` (name -> class names)."""
        return {
            "classes": self.vocabulary.names,
            "synonyms": {k: list(v) for k, v in self.vocabulary.synonyms.items()},
            "groups": {k: list(v) for k, v in self.groups.items()},
        }

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs`` uint8 (3, H, W), ``label`` int, ``key`` str."""
        return {**self.load(index), "label": self.labels[index]}


@DATASETS.register_module()
class RetrievalDataset(_Images):
    """Images with one or several captions each, for recall@k in both directions.

    Args:
        path: Folder of the images and of the list; or shards of pairs (a ``.tar``, a glob, a folder
            of them), whose one caption each is used.
        annotations: ``pairs.jsonl`` (rows with ``image`` and ``captions`` or ``text``), or a COCO
            captions file (``.json``), relative to ``path``.
        images: Folder of the images of a COCO captions file, relative to ``path``.
        where: Equality filter on the rows of ``pairs.jsonl``.
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
        if annotations.endswith(".json"):
            rows = _coco_captions(folder / annotations, images)
        else:
            rows = {
                row["image"]: row.get("captions") or [row.get("text") or ""]
                for row in _rows(folder / annotations, where)
            }
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


def _folded(name: str) -> str:
    return clean_name(name).replace("-", " ").casefold()


def _class_folders(folder: Path):
    for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
        for image in sorted(p for p in sub.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            yield sub.name, str(image.relative_to(folder))


def _rows(path: Path, where: Mapping[str, Any]):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    row["image"]
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"{path} line {number}: {error!r}") from error
                if all(row.get(k) == v for k, v in where.items()):
                    yield row


def _labelled_rows(folder: Path, pairs: str, field: str, where: Mapping[str, Any]):
    if not (folder / pairs).is_file():
        raise FileNotFoundError(f"list {folder / pairs} does not exist")
    for row in _rows(folder / pairs, where):
        if field not in row:
            raise ValueError(
                f"{folder / pairs}: {row['image']} has no field {field!r}{near_matches(field, row)}"
            )
        yield str(row[field]), row["image"]


def _coco_captions(path: Path, images: str) -> dict[str, list[str]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    name = {i["id"]: str(Path(images) / i["file_name"]) for i in content["images"]}
    rows: dict[str, list[str]] = {n: [] for n in name.values()}
    for annotation in content["annotations"]:
        rows[name[annotation["image_id"]]].append(annotation["caption"])
    return rows


def _resolve_groups(
    groups: Mapping[str, Names], classes: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    known = {_folded(name): name for name in classes}
    resolved: dict[str, tuple[str, ...]] = {}
    for group, source in groups.items():
        if source == "rest":
            continue
        names = read_concepts(source).names
        missing = [name for name in names if _folded(name) not in known]
        if missing:
            raise ValueError(
                f"group {group!r} names {missing[0]!r}, which is no class"
                f"{near_matches(missing[0], classes)}"
            )
        resolved[group] = tuple(known[_folded(name)] for name in names)
    taken = {name for names in resolved.values() for name in names}
    for group, source in groups.items():
        if source == "rest":
            resolved[group] = tuple(name for name in classes if name not in taken)
    return resolved
