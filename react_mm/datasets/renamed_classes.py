"""Other names of classes, for measuring a detector that is asked by synonyms.

The lists lie in ``react_mm/datasets/synonyms``; ``coco`` is shipped.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from react_mm.prompts import Vocabulary, read_concepts
from react_mm.suggestions import near_matches


def shipped_lists() -> tuple[str, ...]:
    """Names of the lists that come with react_mm."""
    folder = resources.files("react_mm.datasets").joinpath("synonyms")
    return tuple(sorted(p.name[:-4] for p in folder.iterdir() if p.name.endswith(".txt")))


def read_synonyms(source: str | Path) -> Vocabulary:
    """A list of synonyms: ``name; synonym; synonym`` per line.

    Args:
        source: The name of a shipped list (``coco``), or a file.

    Raises:
        FileNotFoundError: If it is neither.
        ValueError: If one name stands for two classes.
    """
    if str(source) in shipped_lists():
        folder = resources.files("react_mm.datasets").joinpath("synonyms")
        text = folder.joinpath(f"{source}.txt").read_text(encoding="utf-8")
        found = read_concepts(text.splitlines())
    elif Path(source).is_file():
        found = read_concepts(source)
    else:
        raise FileNotFoundError(
            f"synonyms {source!r}: no such file, and no shipped list; shipped: "
            f"{', '.join(shipped_lists())}"
        )
    owner: dict[str, str] = {}
    for name in found.names:
        for one in found.all_names(name):
            other = owner.setdefault(one.lower(), name)
            if other != name:
                raise ValueError(f"synonyms {source}: {one!r} stands for {other!r} and {name!r}")
    return found


def renamed_classes(synonyms: Vocabulary, classes: Sequence[str], which: int = 1) -> dict[str, str]:
    """A mapping for ``VocabularyHook(renamed=...)``.

    Args:
        synonyms: As :func:`read_synonyms` gives them.
        classes: The classes to rename, as the data set names them.
        which: 1 for the first synonym of each class, 2 for the second; a class with fewer gets its
            last one.

    Returns:
        Synonym by class name.

    Raises:
        ValueError: If ``which`` is below 1, or a class has no synonym (with near matches).
    """
    if which < 1:
        raise ValueError(f"synonyms are counted from 1, not {which}")
    out = {}
    for name in classes:
        others = synonyms.synonyms.get(name, ())
        if not others:
            raise ValueError(
                f"the list of synonyms has none for class {name!r}"
                f"{near_matches(name, synonyms.synonyms)}"
            )
        out[name] = others[min(which, len(others)) - 1]
    return out
