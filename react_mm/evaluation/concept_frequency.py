"""Classes grouped by how many pairs a retrieved set holds for them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from react_mm.prompts import clean_name
from react_mm.suggestions import near_matches

BINS = ("none", "few", "medium", "many")
LIMITS = (10, 100)
"""Pairs from which on a class has 'medium' and 'many': LVIS's limits of rare and frequent."""


def read_counts(path: str | Path) -> dict[str, int]:
    """Pairs per concept of a retrieved set.

    Args:
        path: The set's folder or its ``pairs.parquet`` (any parquet with a column ``concept``), or
            a JSON file ``{concept: pairs}``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no counts per concept.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "pairs.parquet"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: name a retrieved set's folder, its pairs.parquet, or a JSON "
            "file {concept: pairs}"
        )
    if path.suffix == ".json":
        return _read_json(path)
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except Exception as error:  # pyarrow raises whatever the damage leads to
        raise ValueError(f"{path} is neither parquet nor .json: {error}") from error
    if "concept" not in schema.names:
        raise ValueError(
            f"{path} has no column 'concept' but {', '.join(schema.names[:8])}: is it the "
            "pairs.parquet of a retrieved set?"
        )
    return dict(Counter(pq.read_table(path, columns=["concept"])["concept"].to_pylist()))


def _read_json(path: Path) -> dict[str, int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds no {{concept: pairs}}")
    for name, count in content.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"{path}: the pairs of {name!r} must be a whole number, not {count!r}")
    return dict(content)


def class_counts(
    counts: Mapping[str, int],
    classes: Sequence[str],
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> np.ndarray:
    """Pairs per class; concepts and class names are compared in small letters, cleaned.

    Args:
        counts: Pairs per concept.
        classes: Class names, C.
        synonyms: Further names by class; their pairs are added.

    Returns:
        (C,) int64; 0 for a class that the set lacks.

    Raises:
        ValueError: If the set lacks every class, with near matches of the first.
    """
    known: Counter = Counter()
    for concept, count in counts.items():
        known[clean_name(concept).lower()] += count
    names = [{clean_name(n).lower() for n in (c, *(synonyms or {}).get(c, ()))} for c in classes]
    out = np.array([sum(known[name] for name in own) for own in names], dtype=np.int64)
    if not out.any():
        first = classes[0] if classes else ""
        raise ValueError(
            f"the retrieved set has pairs of none of the {len(classes)} classes: its concepts are "
            f"{', '.join(sorted(counts)[:5])}, the classes {', '.join(classes[:5])}"
            f"{near_matches(first, counts)}"
        )
    return out


def frequency_bins(
    counts: np.ndarray, limits: Sequence[int] = LIMITS
) -> dict[str, tuple[str, np.ndarray]]:
    """Class indices per bin, with the bin's limits in words.

    Args:
        counts: Pairs per class (C,).
        limits: Pairs from which on a class has ``medium`` and ``many``.

    Returns:
        For ``none`` (no pair), ``few``, ``medium`` and ``many``: limits and indices.

    Raises:
        ValueError: If the limits are not two rising numbers above 1.
    """
    if len(limits) != 2 or not 1 < limits[0] < limits[1]:
        raise ValueError(f"frequency limits must be two rising numbers above 1, not {limits}")
    low, high = limits
    places = np.digitize(counts, [1, low, high])
    words = ("0", f"1 to {low - 1}", f"{low} to {high - 1}", f"{high} or more")
    return {name: (words[i], np.flatnonzero(places == i)) for i, name in enumerate(BINS)}


class FrequencyRows:
    """AP50 by the frequency of a class in a retrieved set, for detection metrics.

    Args:
        source: As :func:`read_counts` takes it.
        limits: As :func:`frequency_bins` takes them.

    Raises:
        FileNotFoundError, ValueError: If they cannot be used.
    """

    def __init__(self, source: str | Path, limits: Sequence[int] = LIMITS) -> None:
        self.limits = tuple(limits)
        frequency_bins(np.zeros(1), self.limits)  # checked before a long test
        self.concepts = read_counts(source)

    def counts(self, meta: Mapping[str, Any]) -> np.ndarray:
        """Pairs per class of a data set's ``metainfo``.

        Raises:
            ValueError: If the set has pairs of none of the classes.
        """
        return class_counts(self.concepts, meta["classes"], meta.get("synonyms"))

    def figures(self, ap: np.ndarray, meta: Mapping[str, Any]) -> dict[str, float]:
        """Means per bin, over all classes and over the novel ones; the bins are logged.

        Args:
            ap: AP50 per class (C,); NaN for classes without any box, which are not counted.
            meta: ``metainfo`` with ``classes`` and perhaps ``novel_classes``.

        Returns:
            ``ap50_<bin>`` and ``classes_<bin>``, and both with ``novel_`` in front; -1 for the mean
            of no class.
        """
        novel = np.isin(list(meta["classes"]), list(meta.get("novel_classes", ())))
        figures = {}
        for name, (words, rows) in frequency_bins(self.counts(meta), self.limits).items():
            print_log(f"bin {name!r}: classes with {words} retrieved pairs", logger="current")
            for prefix, members in (("", rows), ("novel_", rows[novel[rows]])):
                found = ap[members][~np.isnan(ap[members])]
                figures[f"{prefix}ap50_{name}"] = float(found.mean()) if len(found) else -1.0
                figures[f"{prefix}classes_{name}"] = float(len(found))
        return figures
