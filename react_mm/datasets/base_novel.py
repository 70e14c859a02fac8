"""Base and novel classes of open-vocabulary detection, and training files without novel boxes."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from react_mm.datasets.ignore_regions import FIELD, novel_regions
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

OV_LVIS = "ov-lvis"
"""Split whose novel classes are an LVIS file's rare ones (ViLD, Gu et al., arXiv 2104.13921)."""

LVIS_V1_COUNTS = (866, 337)
"""Base (405 frequent + 461 common) and novel (rare) classes of LVIS v1."""

_FEDERATED = ("neg_category_ids", "not_exhaustive_category_ids")


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
    if source == OV_LVIS:
        raise ValueError(
            "the novel classes of 'ov-lvis' are read from an LVIS file: use "
            "react_mm.OpenVocabularyLVISDataset, or rare_classes(categories)"
        )
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
    there = set(known)
    lacking = [name for name in names if name not in there]
    if lacking:
        hints = [f"{name}{near_matches(name, known)}" for name in lacking[:5]]
        raise ValueError(
            f"{where} has no categories {lacking[:5]} ({len(lacking)} of the names given; the file "
            f"has {len(known)}): " + " | ".join(hints)
        )


def split_classes(
    classes: Sequence[str], novel: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Base and novel classes, each in the order of ``classes``."""
    novel = set(novel)
    base = tuple(name for name in classes if name not in novel)
    return base, tuple(name for name in classes if name in novel)


def rare_classes(categories: Sequence[Mapping[str, Any]], where: str = "") -> tuple[str, ...]:
    """The rare classes of an LVIS file, in the order of their ids.

    Args:
        categories: The file's categories, with LVIS's ``frequency``: ``f``, ``c`` or ``r``.
        where: The file, for the message.

    Raises:
        ValueError: If a category has no such field.
    """
    for category in categories:
        if category.get("frequency") not in ("f", "c", "r"):
            raise ValueError(
                f"{where}: category {category.get('name')!r} has no 'frequency' (f, c or r): the "
                "rare classes of 'ov-lvis' exist in LVIS files only"
            )
    ordered = sorted(categories, key=lambda category: category["id"])
    return tuple(category["name"] for category in ordered if category["frequency"] == "r")


def check_lvis_v1(path: str | Path, base: Sequence[str], novel: Sequence[str]) -> None:
    """Checks the class counts of a file that is named as LVIS v1's are (``lvis_v1*``).

    Without any novel class the file is taken for a training file of the base classes.

    Raises:
        ValueError: If they are not 866 and 337 (0 in a training file).
    """
    expected = (LVIS_V1_COUNTS[0], LVIS_V1_COUNTS[1] if novel else 0)
    if Path(path).name.startswith("lvis_v1") and (len(base), len(novel)) != expected:
        raise ValueError(
            f"{path} is named as a file of LVIS v1 but has {len(base)} frequent or common and "
            f"{len(novel)} rare classes; LVIS v1 has {LVIS_V1_COUNTS[0]} and {LVIS_V1_COUNTS[1]}: "
            "is it damaged or another version? Another set must not be named lvis_v1*"
        )


def base_only(
    annotation: dict[str, Any],
    base: Iterable[str],
    keep_images: bool = False,
    ignored: Iterable[str] = (),
) -> tuple[dict[str, Any], Counter]:
    """A training annotation that knows nothing of classes outside ``base``.

    In LVIS files the lists of absent and of not exhaustively annotated classes of an image keep
    their base classes.

    Args:
        annotation: A COCO instances file.
        base: Names of the classes to keep.
        keep_images: Whether images without any base box stay (as images of background alone).
        ignored: Novel classes whose boxes become nameless regions to ignore
            (:mod:`react_mm.datasets.ignore_regions`).

    Returns:
        The new annotation (categories sorted by id) and a count of what was kept and dropped.

    Raises:
        ValueError: If the file lacks one of the classes, or one is base and ignored.
    """
    base, ignored = set(base), set(ignored)
    check_classes(
        sorted(base | ignored), [c["name"] for c in annotation["categories"]], "the annotation"
    )
    if twice := sorted(base & ignored):
        raise ValueError(f"classes {twice[:5]} are base classes and cannot be ignored")
    categories = sorted(
        (c for c in annotation["categories"] if c["name"] in base), key=lambda c: c["id"]
    )
    ids = {c["id"] for c in categories}
    boxes = [a for a in annotation["annotations"] if a["category_id"] in ids]
    used = {a["image_id"] for a in boxes}
    kept = [i for i in annotation["images"] if keep_images or i["id"] in used]
    counts = Counter(
        categories_kept=len(categories),
        categories_dropped=len(annotation["categories"]) - len(categories),
        boxes_kept=len(boxes),
        boxes_dropped=len(annotation["annotations"]) - len(boxes),
        images_kept=len(kept),
        images_dropped=len(annotation["images"]) - len(kept),
    )
    images = [_only_known(image, ids, counts) for image in kept]
    out = {**annotation, "images": images, "annotations": boxes, "categories": categories}
    if ignored:
        out[FIELD] = novel_regions(annotation, ignored, {image["id"] for image in images})
        counts["boxes_as_ignore_regions"] = len(out[FIELD])
    return out, counts


def _only_known(image: dict[str, Any], ids: set[int], counts: Counter) -> dict[str, Any]:
    """An image whose federated lists name kept categories only."""
    changed = {}
    for field in _FEDERATED:
        if field in image:
            changed[field] = [i for i in image[field] if i in ids]
            counts[f"{field}_kept"] += len(changed[field])
            counts[f"{field}_dropped"] += len(image[field]) - len(changed[field])
    return {**image, **changed} if changed else image
