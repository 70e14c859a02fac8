"""Class names inside captions: which of them a caption holds, and the caption without them."""

from __future__ import annotations

import re
from collections.abc import Sequence


class NamePattern:
    """Finds names as whole words, without regard to case, ``-``, ``_`` and a plural s.

    Args:
        names: The names; of several that match at one place the longest counts.

    Raises:
        ValueError: If there is no name, or an empty one.
    """

    def __init__(self, names: Sequence[str]) -> None:
        words = {" ".join(re.split(r"[\s_-]+", name.strip().lower())): name for name in names}
        if not words or "" in words:
            raise ValueError("class names to look for: at least one, none of them empty")
        self.names = words
        longest = sorted(words, key=len, reverse=True)
        parts = [r"[\s_-]+".join(re.escape(w) for w in word.split(" ")) for word in longest]
        self._pattern = re.compile(rf"(?<!\w)({'|'.join(parts)})(?:e?s)?(?!\w)", re.IGNORECASE)

    def found(self, caption: str) -> list[str]:
        """The names in a caption, in order of place, as they were given."""
        matches = (match.group(1) for match in self._pattern.finditer(caption))
        return [self.names[" ".join(re.split(r"[\s_-]+", m.lower()))] for m in matches]

    def struck(self, caption: str) -> str:
        """The caption with every name struck out; commas and spaces left over go, too."""
        if not self._pattern.search(caption):
            return caption
        text = self._pattern.sub(" ", caption)
        text = re.sub(r"\s+", " ", text)
        text = re.sub(r"(\s*,)+(?=\s*(,|\.|$))", "", re.sub(r"\s+([,.;:])", r"\1", text))
        return text.strip(" ,;")
