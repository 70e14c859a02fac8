"""Concept names, synonyms and prompt templates.

One place for queries, classifiers and evaluation, so that all of them read a name alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from react_mm.classification_sets import class_lines, set_names, template_lines
from react_mm.suggestions import near_matches

TEMPLATES: dict[str, tuple[str, ...]] = {
    "name": ("{}",),
    "photo": ("a photo of a {}.",),
    # The two of RegionCLIP's zero-shot detection branch (facts: A4).
    "region": ("{}.", "a photo of a {}."),
    "simple": (
        "a photo of a {}.",
        "a photo of the {}.",
        "a close-up photo of a {}.",
        "a picture with a {}.",
        "a small {} in a picture.",
    ),
    # For the drawn world (react_mm.toy).
    "drawn": ("a drawing of a {}", "a picture of a {}", "a {}", "the {}"),
}


@dataclass(frozen=True)
class Vocabulary:
    """Ordered concept names with optional synonyms.

    Attributes:
        names: The names, in the order of the class indices.
        synonyms: Further names of a concept, by name.
    """

    names: tuple[str, ...]
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("the concept list is empty")
        seen: dict[str, int] = {}
        for row, name in enumerate(self.names, 1):
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"concept {row} is empty: {name!r}")
            key = name.strip().lower()
            if key in seen:
                raise ValueError(f"concept {name!r} stands twice, in rows {seen[key]} and {row}")
            seen[key] = row
        unknown = [name for name in self.synonyms if name not in self.names]
        if unknown:
            raise ValueError(f"synonyms are given for names that are no concepts: {unknown[:5]}")

    def __len__(self) -> int:
        return len(self.names)

    def all_names(self, name: str) -> tuple[str, ...]:
        """The name and its synonyms, without repetition."""
        return tuple(dict.fromkeys((name, *self.synonyms.get(name, ()))))

    @classmethod
    def of(
        cls,
        names: "Vocabulary | Sequence[str]",
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> "Vocabulary":
        """A vocabulary from names (as in ``metainfo['classes']``) or from a vocabulary itself."""
        if isinstance(names, Vocabulary):
            return names
        kept = {k: tuple(v) for k, v in (synonyms or {}).items() if v}
        return cls(tuple(names), kept)


class LiteralTemplate(str):
    """A published template: ``a`` stays ``a`` before a vowel and ``/`` stays ``/`` in a name."""


def read_concepts(source: str | Path | Iterable[str]) -> Vocabulary:
    """Reads a concept list: one per line, ``name`` or ``name; synonym; synonym``.

    Empty lines and lines that start with ``#`` are passed over.

    Args:
        source: A text file (UTF-8), the lines themselves, or the name of a public set
            (:mod:`react_mm.classification_sets`).

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the list is empty, holds a name twice, or is not UTF-8 (names file and row).
    """
    where, lines = "concept list", source
    if isinstance(source, str) and source in set_names():
        where, lines = f"concept list of {source}", class_lines(source)
    elif isinstance(source, str | Path):
        where = f"concept list {source}"
        if not Path(source).is_file():
            raise FileNotFoundError(f"{where}: no such file")
        try:
            lines = Path(source).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{where} is not UTF-8: {error}") from error
    names, synonyms = [], {}
    for row, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(";")]
        if not parts[0]:
            raise ValueError(f"{where}, row {row}: no name before the first ';': {line!r}")
        names.append(parts[0])
        if more := tuple(part for part in parts[1:] if part):
            synonyms[parts[0]] = more
    try:
        return Vocabulary(tuple(names), synonyms)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def resolve_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Templates by name of a set, as a file with one per line, or as given.

    The published templates of a public set (``imagenet-1k``, ``dtd``, ...) are literal.

    Raises:
        ValueError: If the set is unknown, empty, or a template lacks its single ``{}``.
    """
    if isinstance(templates, str):
        if templates in TEMPLATES:
            return TEMPLATES[templates]
        if templates in set_names():
            return tuple(map(LiteralTemplate, template_lines(templates)))
        path = Path(templates)
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            templates = [line.strip() for line in lines if line.strip()]
        elif "{}" in templates:
            templates = [templates]
        else:
            raise ValueError(
                f"unknown template set {templates!r}"
                f"{near_matches(templates, [*TEMPLATES, *set_names()])}; "
                f"known: {', '.join([*TEMPLATES, *set_names()])}, a file, or a template with {{}}"
            )
    if not templates:
        raise ValueError("the list of templates is empty")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold '{{}}' exactly once")
    return tuple(templates)


def clean_name(name: str) -> str:
    """A class name as a caption would write it: ``traffic_light`` to ``traffic light``."""
    return " ".join(name.replace("_", " ").replace("/", " or ").split())


def render(template: str, name: str) -> str:
    """Puts a cleaned name into a template; ``a`` before a vowel becomes ``an``.

    In a :class:`LiteralTemplate` only underscores and repeated spaces of the name are changed.
    """
    if isinstance(template, LiteralTemplate):
        return template.replace("{}", " ".join(name.replace("_", " ").split()))
    name = clean_name(name)
    if name[:1].lower() in "aeiou":
        template = template.replace("a {}", "an {}")
    return template.replace("{}", name)
