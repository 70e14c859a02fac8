"""Which image has which class: class folders, lists, and how a written label finds its class."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from react_mm.datasets.images import IMAGE_SUFFIXES
from react_mm.suggestions import near_matches

LabelledRow = tuple[tuple[str, ...], str]
"""Labels as written, and the image's path relative to the folder."""


def folded(name: str) -> str:
    """A name without the differences that folder names make: case, ``_``, ``-``, ``/``, spaces."""
    for sign in "_-/":
        name = name.replace(sign, " ")
    return " ".join(name.split()).casefold()


def class_folders(folder: Path) -> Iterator[LabelledRow]:
    """Images of a folder with one folder per class, in the order of the names."""
    for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
        for image in sorted(p for p in sub.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            yield (sub.name,), str(image.relative_to(folder))


def listed_images(path: Path, multi_label: bool = False) -> Iterator[LabelledRow]:
    """Rows of a list file, ``image<TAB>label`` (several labels: further tabs, if ``multi_label``).

    Empty lines and lines that start with ``#`` are passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line has no tab, or several labels where one is expected; names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"list {path} does not exist")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        image, *labels = (part.strip() for part in line.split("\t"))
        if not image or not labels or not all(labels):
            raise ValueError(f"{path} line {number}: expected image<TAB>label, got {line!r}")
        if len(labels) > 1 and not multi_label:
            raise ValueError(f"{path} line {number}: {len(labels)} labels, expected one")
        yield tuple(labels), image


class LabelNumbers:
    """Finds the class index of a label as a folder or a list writes it.

    Args:
        names: Class names in label order.
        folders: What folders or lists write for each class, in the same order; names count, too.

    Raises:
        ValueError: If ``folders`` has another length, or two classes are written alike.
    """

    def __init__(self, names: Sequence[str], folders: Sequence[str] | None = None) -> None:
        self.names = tuple(names)
        self.folders = tuple(folders) if folders is not None else self.names
        if len(self.folders) != len(self.names):
            raise ValueError(f"{len(self.folders)} folder names for {len(self.names)} classes")
        # ImageNet has "missile" and "missile_": where folders say which is which, neither counts.
        alike = Counter(folded(name) for name in self.names)
        numbered = ((folded(name), index) for index, name in enumerate(self.names))
        self._number = {name: index for name, index in numbered if alike[name] == 1}
        self._shared = {name for name, count in alike.items() if count > 1}
        if folders is None and len(self._number) != len(self.names):
            raise ValueError("two class names differ in case, '_', '-', '/' or spaces alone")
        written = {folded(folder): index for index, folder in enumerate(self.folders)}
        if len(written) != len(self.folders):
            raise ValueError("two folder names differ in case, '_', '-', '/' or spaces alone")
        # The folder's own name wins: "7" may be the folder of one class and the name of another.
        self._number |= written

    def __call__(self, label: str, where: str) -> int:
        """The class index of ``label``.

        Raises:
            ValueError: If it is no class; ``where`` begins the message, near matches end it.
        """
        if folded(label) in self._shared - set(self._number):
            own = [f for f, n in zip(self.folders, self.names, strict=True) if _same(n, label)]
            raise ValueError(f"{where} is the name of several classes: write {' or '.join(own)}")
        if folded(label) not in self._number:
            known = dict.fromkeys((*self.folders, *self.names))
            raise ValueError(
                f"{where} is not one of the {len(self.names)} classes{near_matches(label, known)}"
            )
        return self._number[folded(label)]

    def check_complete(self, present: Iterable[int], where: str) -> None:
        """Refuses a folder or list that lacks classes.

        Raises:
            ValueError: With the numbers and the first missing classes.
        """
        missing = sorted(set(range(len(self.names))) - set(present))
        if missing:
            shown = ", ".join(self.folders[i] for i in missing[:5])
            raise ValueError(
                f"{where}: {len(self.names)} classes are expected, "
                f"{len(self.names) - len(missing)} have images; missing: {shown}"
                f"{' ...' if len(missing) > 5 else ''}"
            )


def _same(name: str, label: str) -> bool:
    return folded(name) == folded(label)


def resolve_groups(
    groups: Mapping[str, Sequence[str] | str], classes: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Class names of each group; ``'rest'`` is all classes that no other group names.

    Args:
        groups: Group -> class names, or ``'rest'``.
        classes: All class names.

    Raises:
        ValueError: If a group names an unknown class.
    """
    known = {folded(name): name for name in classes}
    resolved: dict[str, tuple[str, ...]] = {}
    for group, names in groups.items():
        if names == "rest":
            continue
        missing = [name for name in names if folded(name) not in known]
        if missing:
            raise ValueError(
                f"group {group!r} names {missing[0]!r}, which is no class"
                f"{near_matches(missing[0], classes)}"
            )
        resolved[group] = tuple(known[folded(name)] for name in names)
    taken = {name for names in resolved.values() for name in names}
    for group, names in groups.items():
        if names == "rest":
            resolved[group] = tuple(name for name in classes if name not in taken)
    return resolved
