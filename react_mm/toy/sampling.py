"""What each part of the drawn world holds: which concepts, how often, single or scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from react_mm.toy.captions import caption, mention
from react_mm.toy.scene import Drawing, draw_scene, draw_single
from react_mm.toy.world import CONCEPTS, TARGET_FAMILY

__all__ = ["PAIR_PARTS", "Pair", "PairPart", "labelled_single", "pair", "scene"]

_TARGET = np.array([i for i, c in enumerate(CONCEPTS) if c.family == TARGET_FAMILY])
_OTHER = np.array([i for i, c in enumerate(CONCEPTS) if c.family != TARGET_FAMILY])
_PART_IDS = {"pool": 0, "base": 1, "val": 2, "test": 3, "train": 4}


@dataclass(frozen=True)
class PairPart:
    """A collection of image-text pairs.

    Attributes:
        pairs: Number of pairs.
        target: Share of pairs whose image shows the target family.
        mention: Share of pairs whose caption uses a word of the target family that the image
            does not show.
        singles: Share of images with one large object; the rest are scenes.
        nameless: Share of captions that name nothing.
        distant: The target family is shown only as one small object among two to four others.
    """

    pairs: int
    target: float
    mention: float
    singles: float = 0.65
    nameless: float = 0.1
    distant: bool = False


PAIR_PARTS: dict[str, PairPart] = {
    "pool": PairPart(6000, target=0.05, mention=0.006),
    "base": PairPart(40000, target=0.009, mention=0.0, singles=0.75, distant=True),
}
"""The two collections: what is retrieved from, and what the base was pretrained on."""


@dataclass(frozen=True)
class Pair:
    """One image-text pair.

    Attributes:
        drawing: The image and what is in it.
        caption: The caption.
        kind: 'target' (the image shows the target family), 'mention' (only the caption speaks
            of it) or 'other'.
    """

    drawing: Drawing
    caption: str
    kind: str


def _generator(seed: int, part: str, stream: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, _PART_IDS[part], stream, index])


def _kind(part: PairPart, index: int) -> str:
    """Spread the kinds evenly over the indices, so that their counts are exact."""

    def hits(share: float, offset: float) -> bool:
        return int((index + 1) * share + offset) > int(index * share + offset)

    if hits(part.target, 0.5):
        return "target"
    return "mention" if hits(part.mention, 0.25) else "other"


def pair(seed: int, name: str, index: int) -> Pair:
    """Draw pair ``index`` of the collection ``name``; a pure function of its arguments.

    Args:
        seed: Seed of the world.
        name: 'pool' or 'base'.
        index: Row, from 0.
    """
    part = PAIR_PARTS[name]
    rng = _generator(seed, name, 0, index)
    kind = _kind(part, index)
    main = int(rng.choice(_TARGET if kind == "target" else _OTHER))
    if kind == "target" and part.distant:
        drawing = _far_away(rng, main)
    elif rng.random() < part.singles:
        drawing = draw_single(rng, main)
    else:
        count = int(rng.integers(1, 6))
        others = rng.choice(_OTHER, count, replace=False).tolist()
        if kind == "target" and count > 2:  # often two of the family together
            others[0] = int(rng.choice(_TARGET))
        chosen = [main, *(c for c in others if c != main)][:count]
        side = int(rng.integers(64, 97))
        drawing = draw_scene(rng, chosen, side, side)
    if kind == "mention":
        text = mention(rng, drawing, int(rng.choice(_TARGET)))
    else:
        text = caption(rng, drawing, part.nameless)
    return Pair(drawing, text, kind)


def _far_away(rng: np.random.Generator, concept: int) -> Drawing:
    """A scene of other things with one small object of the target family, drawn last."""
    others = rng.choice(_OTHER, int(rng.integers(2, 5)), replace=False).tolist()
    side = int(rng.integers(64, 97))
    return draw_scene(rng, [*others, concept], side, side, distant={concept})


def labelled_single(seed: int, split: str, concept: int, index: int) -> Drawing:
    """Draw one image of the classification sets ('val' or 'test'), 64 px square."""
    return draw_single(_generator(seed, split, 1 + concept, index), concept)


def scene(seed: int, split: str, index: int) -> Drawing:
    """Draw one annotated scene of 'train', 'val' or 'test', 64 to 96 px high and wide.

    Every second scene of each split may hold the target family, so that about one object in
    seven belongs to it.
    """
    rng = _generator(seed, split, 1000, index)
    count = int(rng.integers(1, 6))
    chosen = rng.choice(_OTHER, count, replace=False).tolist()
    if index % 2 == 0:
        n = min(count, int(rng.integers(1, 3)))
        chosen[:n] = rng.choice(_TARGET, n, replace=False).tolist()
        rng.shuffle(chosen)
    height, width = (int(v) for v in rng.integers(64, 97, 2))
    return draw_scene(rng, chosen, height, width)


cv2.setNumThreads(0)  # the images are small: threads cost more than they bring
