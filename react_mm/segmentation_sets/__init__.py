"""Public segmentation sets as data: class names with synonyms, and splits into seen and unseen.

The files hold no pictures; the images are the user's. The names are the sets' own, written as a
caption would write them, and the synonyms are ours: published figures were taken with other lists.
"""

from pathlib import Path

from react_mm.suggestions import near_matches

_CLASSES = Path(__file__).parent / "classes"

SPLITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "voc-15-5": ("voc20", ("potted plant", "sheep", "sofa", "train", "tv monitor")),
    "context-49-10": (
        "context59",
        (
            *("cow", "motorbike", "sofa", "cat", "boat", "fence", "bird", "tv monitor"),
            *("keyboard", "aeroplane"),
        ),
    ),
    "stuff-156-15": (
        "coco-stuff164k",
        (
            *("frisbee", "skateboard", "cardboard", "carrot", "scissors", "suitcase", "giraffe"),
            *("cow", "road", "concrete wall", "tree", "grass", "river", "clouds"),
            "playing field",
        ),
    ),
}
"""Usual splits of zero-shot segmentation: the set it belongs to, and its unseen classes.

As SPNet, ZS3Net and their successors use them (ZegFormer, arXiv 2112.07910); from memory of those
papers, their lists were not at hand.
"""


def set_names() -> tuple[str, ...]:
    """Names of all sets."""
    return tuple(sorted(path.stem for path in _CLASSES.glob("*.txt")))


def class_file(name: str) -> Path:
    """The concept file of a set: ``name; synonym; synonym`` per line, in the order of the labels.

    Raises:
        ValueError: If there is no such set; near matches are named.
    """
    if name not in set_names():
        raise ValueError(
            f"unknown segmentation set {name!r}{near_matches(name, set_names())}; known: "
            + ", ".join(set_names())
        )
    return _CLASSES / f"{name}.txt"


def unseen_classes(split: str, benchmark: str) -> tuple[str, ...]:
    """The unseen classes of a named split.

    Raises:
        ValueError: If there is no such split, or it is of another set.
    """
    if split not in SPLITS:
        raise ValueError(
            f"unknown split {split!r}{near_matches(split, SPLITS)}; known: {', '.join(SPLITS)}"
        )
    owner, names = SPLITS[split]
    if owner != benchmark:
        raise ValueError(f"split {split!r} is of {owner}, not of {benchmark}")
    return names
