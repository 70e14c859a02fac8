"""What the drawn world contains: concepts, families and which family is the target.

This module is plain data and imports only the standard library, so that configs, tests and
data sets can read the names without loading torch or OpenCV. The drawing routine of a concept is
found by its name in :mod:`react_mm.toy.shapes`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CONCEPTS",
    "FAMILIES",
    "TARGET_FAMILY",
    "Concept",
    "concept_names",
    "family_of",
    "other_names",
    "synonyms",
    "target_names",
]


@dataclass(frozen=True)
class Concept:
    """One thing that can be drawn.

    Attributes:
        name: Canonical name; folder name, category name and class name.
        synonyms: Other words that captions use for the same thing.
        family: The family the concept belongs to.
    """

    name: str
    synonyms: tuple[str, ...]
    family: str

    @property
    def words(self) -> tuple[str, ...]:
        """The canonical name followed by the synonyms."""
        return (self.name, *self.synonyms)


_TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "fruit": {
        "strawberry": (),
        "banana": ("plantain",),
        "watermelon": ("water melon", "melon slice"),
        "grape": ("grapes",),
        "pineapple": ("ananas",),
        "cherry": ("cherries",),
    },
    "vehicle": {
        "car": ("automobile",),
        "bus": ("coach",),
        "sailing boat": ("sailboat",),
        "rocket": ("spaceship",),
        "bicycle": ("bike",),
        "hot-air balloon": ("montgolfier",),
    },
    "building": {
        "house": ("cottage",),
        "lighthouse": ("beacon",),
        "windmill": ("wind mill",),
        "tent": ("tipi",),
        "castle": ("fortress",),
        "igloo": ("snow hut",),
    },
    "sea animal": {
        "fish": ("goldfish",),
        "octopus": ("kraken",),
        "starfish": ("sea star",),
        "crab": ("crayfish",),
        "jellyfish": ("medusa",),
        "whale": ("orca",),
    },
    "household": {
        "mug": ("cup",),
        "teapot": ("tea pot",),
        "table lamp": ("desk lamp",),
        "clock": ("timepiece",),
        "umbrella": ("parasol",),
        "candle": ("taper",),
    },
    "plant": {
        "cactus": ("saguaro",),
        "mushroom": ("toadstool",),
        "daisy": ("marguerite",),
        "fir tree": ("conifer",),
        "tulip": (),
        "clover": ("shamrock",),
    },
    "snack": {
        "ice cream": ("gelato",),
        "doughnut": ("donut",),
        "pizza": ("pizza slice",),
        "fried egg": ("sunny side up",),
        "lollipop": ("lolly",),
        "hamburger": ("burger",),
    },
    "garden animal": {
        "ladybird": ("ladybug",),
        "bumblebee": ("bee",),
        "butterfly": ("moth",),
        "caterpillar": ("larva",),
        "dragonfly": ("damselfly",),
        "snail": ("slug",),
    },
}

FAMILIES: tuple[str, ...] = tuple(_TABLE)
"""The families, in the order of their concepts."""

TARGET_FAMILY: str = "garden animal"
"""The family that is rare in the pretraining pairs: the target domain of a customization."""

CONCEPTS: tuple[Concept, ...] = tuple(
    Concept(name, words, family) for family, rows in _TABLE.items() for name, words in rows.items()
)
"""All concepts in label order: label i and semantic value i + 1 mean ``CONCEPTS[i]``."""


def concept_names() -> tuple[str, ...]:
    """Canonical names of all concepts, in label order."""
    return tuple(c.name for c in CONCEPTS)


def target_names() -> tuple[str, ...]:
    """Canonical names of the target family (the novel classes), in label order."""
    return tuple(c.name for c in CONCEPTS if c.family == TARGET_FAMILY)


def other_names() -> tuple[str, ...]:
    """Canonical names of all families but the target (the base classes), in label order."""
    return tuple(c.name for c in CONCEPTS if c.family != TARGET_FAMILY)


def family_of(name: str) -> str:
    """Return the family of a concept.

    Args:
        name: Canonical concept name.

    Raises:
        KeyError: If there is no concept of that name.
    """
    for concept in CONCEPTS:
        if concept.name == name:
            return concept.family
    raise KeyError(f"no concept {name!r} in the drawn world; see react_mm.toy.world.CONCEPTS")


def synonyms() -> dict[str, list[str]]:
    """Map each canonical name to its synonyms (an empty list where there are none)."""
    return {c.name: list(c.synonyms) for c in CONCEPTS}
