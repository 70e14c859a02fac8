"""Near matches for error messages."""

import difflib
from collections.abc import Iterable


def near_matches(word: str, known: Iterable[str]) -> str:
    """``; did you mean a, b?`` for the known names closest to ``word``, or an empty string.

    Case does not count.
    """
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(lower), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(lower[name] for name in close)}?" if close else ""
