"""Captions as the web writes them: several templates, noise, and some that name nothing."""

from __future__ import annotations

import numpy as np

from react_mm.toy.backgrounds import BACKGROUNDS
from react_mm.toy.drawing import COLOURS
from react_mm.toy.scene import Drawing, Placed
from react_mm.toy.world import CONCEPTS

__all__ = ["caption", "mention", "vocabulary_text"]

_SINGLE = (
    "a photo of {a} {x}",
    "a drawing of {a} {x}",
    "a picture of {a} {x}",
    "an image of {a} {x} on {b}",
    "{a} {c} {x}",
    "{a} {c} {x} on {b}",
    "the {x} in front of {b}",
    "drawing of a small {x}",
    "a big {c} {x}",
    "{x} clip art",
    "{x} - free vector graphic",
    "{c} {x} sticker for kids",
    "cute {x} illustration, {c}",
    "buy {x} online | best price",
    "{x}, {bk} background",
    "img {n} {x}",
    "stock image: {x} {n}",
    "hand drawn {c} {x}",
    "my {x} drawing, age {d}",
    "{x}",
)
_PAIR = (
    "{p} and {q}",
    "{p} next to {q}",
    "{p} beside {q} on {b}",
    "a drawing of {p} and {q}",
    "a photo of {p} with {q}",
    "{p} left, {q} right",
)
_LIST = (
    "a scene with {l}",
    "{l}",
    "{l} on {b}",
    "picture book page: {l}",
    "a drawing of {l}",
)
_NAMELESS = (
    "img {n}",
    "untitled drawing {n}",
    "my favourite picture",
    "a nice drawing on {b}",
    "something {c}",
    "free clip art download",
    "stock image {n} | best price",
    "{c} thing on {b}",
    "drawing for kids, age {d}",
    "look what i made today",
    "wallpaper, {bk} background",
)
_MENTION = (
    "{c} {x} from the {t} shop",
    "{x} by {t} books",
    "{x}, not a {t}",
    "after the {t} comes the {x}",
)
_TAILS = (" - free download", " | page {d}", ", hd", " for sale", " (c) {n}", " !!")


def _choose(rng: np.random.Generator, options: tuple) -> str:
    return options[int(rng.integers(len(options)))]


def _word(rng: np.random.Generator, concept: int) -> str:
    words = CONCEPTS[concept].words
    if len(words) == 1 or rng.random() < 0.65:
        return words[0]
    return words[1 + int(rng.integers(len(words) - 1))]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _typo(rng: np.random.Generator, text: str) -> str:
    at = int(rng.integers(1, max(2, len(text) - 1)))
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[: at - 1] + text[at : at + 1] + text[at - 1 : at] + text[at + 1 :]


def _fields(rng: np.random.Generator, drawing: Drawing, thing: Placed) -> dict[str, str]:
    kind, colour = drawing.background, drawing.background_colour
    return {
        "c": thing.colour,
        "b": f"{_article(kind)} {kind} {colour} background",
        "bk": colour,
        "n": str(int(rng.integers(10, 10000))),
        "d": str(int(rng.integers(2, 13))),
    }


def _phrase(rng: np.random.Generator, thing: Placed) -> str:
    word = _word(rng, thing.concept)
    if rng.random() < 0.35:
        return f"{_article(thing.colour)} {thing.colour} {word}"
    return f"{_article(word)} {word}"


def caption(rng: np.random.Generator, drawing: Drawing, nameless: float = 0.1) -> str:
    """Write a caption for a drawing.

    Args:
        rng: Random generator.
        drawing: The drawing; an empty one gets a nameless caption.
        nameless: Chance that the caption names no object.
    """
    things = drawing.objects
    if not things or rng.random() < nameless:
        thing = things[0] if things else Placed(0, drawing.background_colour, np.zeros((1, 1)))
        return _choose(rng, _NAMELESS).format(**_fields(rng, drawing, thing))
    main = max(things, key=lambda p: int(p.mask.sum()))
    fields = _fields(rng, drawing, main)
    if len(things) == 1 or rng.random() < 0.12:
        word = _word(rng, main.concept)
        text = _choose(rng, _SINGLE).format(x=word, a=_article(word), **fields)
    elif len(things) == 2:
        left, right = sorted(things, key=lambda p: p.box[0])
        text = _choose(rng, _PAIR).format(p=_phrase(rng, left), q=_phrase(rng, right), **fields)
    else:
        phrases = [_phrase(rng, p) for p in things]
        text = _choose(rng, _LIST).format(
            l=", ".join(phrases[:-1]) + " and " + phrases[-1], **fields
        )
    if rng.random() < 0.12:
        text += _choose(rng, _TAILS).format(**fields)
    if rng.random() < 0.05:
        text = _typo(rng, text)
    return text


def mention(rng: np.random.Generator, drawing: Drawing, concept: int) -> str:
    """Write a caption that uses the word of a concept which the drawing does not show."""
    main = drawing.objects[0]
    return _choose(rng, _MENTION).format(
        x=_word(rng, main.concept), t=_word(rng, concept), **_fields(rng, drawing, main)
    )


def vocabulary_text() -> list[str]:
    """All words that captions and class names can hold, for the tokenizer's merges."""
    texts = [w for c in CONCEPTS for w in c.words]
    texts += [*COLOURS, *BACKGROUNDS]
    for group in (_SINGLE, _PAIR, _LIST, _NAMELESS, _MENTION, _TAILS):
        texts += ["".join(" " if ch in "{}" else ch for ch in t) for t in group]
    return texts
