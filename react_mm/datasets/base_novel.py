"""Base and novel classes of open-vocabulary detection, and training files without novel boxes."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from react_mm.prompts import read_concepts
from react_mm.suggestions import near_matches

OV_COCO_BASE = (
    *("person", "bicycle", "car", "motorcycle", "train", "truck", "boat", "bench", "bird"),
    *("horse", "sheep", "bear", "zebra", "giraffe", "backpack", "handbag", "suitcase", "frisbee"),
    *("skis", "kite", "surfboard", "bottle", "fork", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "pizza", "donut", "chair", "bed", "toilet"),
    *("tv", "laptop", "mouse", "remote", "microwave", "oven", "toaster", "refrigerator", "book"),
    *("clock", "vase", "toothbrush"),
)
"""The 48 base classes of OV-COCO (Bansal et al., arXiv 1804.04340)."""

OV_COCO_NOVEL = (
    *("airplane", "bus", "cat", "dog", "cow", "elephant", "umbrella", "tie", "snowboard"),
    *("skateboard", "cup", "knife", "cake", "couch", "keyboard", "sink", "scissors"),
)
"""The 17 novel classes of OV-COCO."""

NAMED_SPLITS = {"ov-coco": (OV_COCO_BASE, OV_COCO_NOVEL)}


def read_names(source: str | Sequence[str] | None) -> tuple[str, ...]:
    """Class names from a list, a concept file (``name; synonym`` per line), or nothing.

    ``ov-coco`` stands for the novel classes of that split.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the list is empty or holds a name twice.
    """
    if source is None:
        return ()
    if isinstance(source, str) and source in NAMED_SPLITS:
        return NAMED_SPLITS[source][1]
    if isinstance(source, str | Path):
        return tuple(read_concepts(source).names)
    return tuple(read_concepts(source).names) if source else ()


def read_coco(path: str | Path) -> dict[str, Any]:
    """Reads a COCO instances file.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is not JSON or lacks a field of that format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        annotation = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    for field in ("images", "annotations", "categories"):
        if not isinstance(annotation, dict) or field not in annotation:
            raise ValueError(f"{path} is not a COCO instances file: it has no field {field!r}")
    return annotation


def check_classes(names: Iterable[str], known: Sequence[str], where: str) -> None:
    """Checks that names are categories of an annotation file.

    Args:
        names: Names asked for.
        known: Names of the file's categories.
        where: The file, for the message.

    Raises:
        ValueError: Naming those which the file lacks, with near matches.
    """
    lacking = [name for name in names if name not in set(known)]
    if lacking:
        hint = near_matches(lacking[0], known)
        raise ValueError(
            f"{where} has no categories {lacking[:5]} ({len(lacking)} of the names given; the file "
            f"has {len(known)}){hint}"
        )


def split_classes(
    classes: Sequence[str], novel: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Base and novel classes, each in the order of ``classes``."""
    novel = set(novel)
    base = tuple(name for name in classes if name not in novel)
    return base, tuple(name for name in classes if name in novel)


def base_only(
    annotation: dict[str, Any], base: Iterable[str], keep_images: bool = False
) -> tuple[dict[str, Any], Counter]:
    """A training annotation that knows nothing of classes outside ``base``.

    Args:
        annotation: A COCO instances file.
        base: Names of the classes to keep.
        keep_images: Whether images without any base box stay (as images of background alone).

    Returns:
        The new annotation (categories sorted by id) and a count of what was kept and dropped.

    Raises:
        ValueError: If the file lacks one of the classes.
    """
    base = set(base)
    check_classes(sorted(base), [c["name"] for c in annotation["categories"]], "the annotation")
    categories = sorted(
        (c for c in annotation["categories"] if c["name"] in base), key=lambda c: c["id"]
    )
    ids = {c["id"] for c in categories}
    boxes = [a for a in annotation["annotations"] if a["category_id"] in ids]
    used = {a["image_id"] for a in boxes}
    images = [i for i in annotation["images"] if keep_images or i["id"] in used]
    counts = Counter(
        categories_kept=len(categories),
        categories_dropped=len(annotation["categories"]) - len(categories),
        boxes_kept=len(boxes),
        boxes_dropped=len(annotation["annotations"]) - len(boxes),
        images_kept=len(images),
        images_dropped=len(annotation["images"]) - len(images),
    )
    out = {**annotation, "images": images, "annotations": boxes, "categories": categories}
    return out, counts
