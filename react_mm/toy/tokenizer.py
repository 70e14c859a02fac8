"""The toy CLIP's merges: open_clip's byte-pair tokenizer with a vocabulary of our own.

open_clip's ``SimpleTokenizer`` reads its merges from a gzip file (``bpe_path``). This module
learns a small one from the words of the drawn world: every word of a caption becomes one token,
and anything else falls back to letters and bytes.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from react_mm.manifest import atomic_path
from react_mm.toy.captions import vocabulary_text

__all__ = ["MERGES_FILE", "MAX_VOCABULARY", "learn_merges", "vocabulary_size", "write_merges"]

MERGES_FILE = Path(__file__).with_name("toy-merges.txt.gz")
"""The merges that ship with the package."""

MAX_VOCABULARY = 2048
"""Upper bound of the number of tokens: 512 bytes, the merges and two special tokens."""

_EXTRA = (
    "close-up",
    "photograph",
    "sketch",
    "painting",
    "cropped",
    "bright",
    "dark",
    "small",
    "many",
)


def _split(word: str) -> tuple[str, ...]:
    return (*word[:-1], word[-1] + "</w>")


def learn_merges(texts: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """Learn byte-pair merges until every word is one token or ``limit`` is reached.

    Pairs are merged in the order of their count; ties are broken alphabetically, so that the
    result does not depend on hashing.

    Args:
        texts: Lower-case ASCII texts.
        limit: Largest number of merges.
    """
    counts = Counter(w for text in texts for w in re.findall(r"[a-z]+|[^\sa-z0-9]+", text.lower()))
    words = {word: _split(word) for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:], strict=False):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {word: _merge(parts, best) for word, parts in words.items()}
    return merges


def _merge(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    i = 0
    while i < len(parts):
        if parts[i : i + 2] == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return tuple(out)


def vocabulary_size(merges: list[tuple[str, str]]) -> int:
    """Number of tokens that open_clip's tokenizer makes of these merges."""
    return 512 + len(merges) + 2


def write_merges(path: Path = MERGES_FILE) -> int:
    """Learn the merges of the drawn world and write them; returns the vocabulary size.

    The file has a comment line first and no newline at its end: open_clip would read an empty
    line as one more merge.
    """
    merges = learn_merges([*vocabulary_text(), *_EXTRA], MAX_VOCABULARY - 514)
    lines = ["#version: react_mm drawn world", *(" ".join(pair) for pair in merges)]
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return vocabulary_size(merges)
