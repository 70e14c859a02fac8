"""Public classification sets as data: class names, templates, folder names, sizes, metric, sources.

ImageNet-1k and the 20 image classification sets of ELEVATER. The files hold no pictures; the
images are the user's. Each card (``cards.json``) says where a list comes from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from react_mm.suggestions import near_matches

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ClassificationSet:
    """Card of a public classification set.

    Attributes:
        name: E.g. ``dtd``.
        classes: Number of classes.
        templates: Number of prompt templates.
        metric: ``top1``, ``mean_class``, ``map11`` (11-point mean average precision) or
            ``roc_auc``.
        images: Split -> number of images.
        multi_label: Whether an image has several classes.
        elevater: Whether it is one of ELEVATER's 20 sets.
        sources: Where lists, sizes and metric come from, one sentence each.
        published: Values of the literature (per cent): ``base``, ``method``, ``value``, ``source``.
    """

    name: str
    classes: int
    templates: int
    metric: str
    images: Mapping[str, int]
    multi_label: bool
    elevater: bool
    sources: tuple[str, ...]
    published: tuple[Mapping[str, Any], ...]


@cache
def _cards() -> dict[str, ClassificationSet]:
    content = json.loads((_FOLDER / "cards.json").read_text(encoding="utf-8"))
    cards = {}
    for name, card in content.items():
        lists = {key: tuple(card.pop(key)) for key in ("sources", "published")}
        cards[name] = ClassificationSet(name=name, **card, **lists)
    return cards


def set_names() -> tuple[str, ...]:
    """Names of all sets."""
    return tuple(_cards())


def read_card(name: str) -> ClassificationSet:
    """The card of a set.

    Raises:
        ValueError: If there is no such set; near matches are named.
    """
    if name not in _cards():
        raise ValueError(
            f"unknown classification set {name!r}{near_matches(name, _cards())}; known: "
            + ", ".join(_cards())
        )
    return _cards()[name]


def class_lines(name: str) -> list[str]:
    """Lines of the concept list, ``name`` or ``name; synonym``, in the order of the labels.

    ImageNet's names come from open_clip. Two of them stand twice there (missile, sunglasses): the
    second gets a trailing ``_``, which no prompt shows.
    """
    read_card(name)
    if name == "imagenet-1k":
        from open_clip import IMAGENET_CLASSNAMES

        seen: set[str] = set()
        lines = []
        for written in IMAGENET_CLASSNAMES:
            lines.append(f"{written}_" if written.lower() in seen else written)
            seen.add(written.lower())
        return lines
    return _lines("classes", name)


def template_lines(name: str) -> list[str]:
    """Prompt templates with ``{}`` for the name; ImageNet's 80 come from open_clip."""
    read_card(name)
    if name == "imagenet-1k":
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        return [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
    return _lines("templates", name)


def folder_lines(name: str) -> list[str] | None:
    """What the usual archive calls the folder (or label) of each class; None: as the class."""
    read_card(name)
    if name == "imagenet-1k":
        from timm.data import ImageNetInfo

        return list(ImageNetInfo("imagenet-1k").label_names())
    return _lines("folders", name) if (_FOLDER / "folders" / f"{name}.txt").is_file() else None


def _lines(kind: str, name: str) -> list[str]:
    text = (_FOLDER / kind / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
