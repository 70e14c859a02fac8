"""The retrieval config as checked settings; a key that does not exist is refused by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from react_mm.retrieval.encoding import EmbedSettings
from react_mm.retrieval.export import ExportSettings
from react_mm.retrieval.hard_pairs import HardPairSettings
from react_mm.retrieval.index import IndexSettings
from react_mm.retrieval.records import MODES
from react_mm.retrieval.sampling import SampleSettings
from react_mm.retrieval.search import check_modes
from react_mm.retrieval.selection import SelectionRules
from react_mm.suggestions import near_matches

SECTIONS = ("embed", "index", "query", "search", "select", "export")
KNOWN = ("work_dir", "pool", "sample", "hard_pairs", "encoder", *SECTIONS)
# Names that mmengine's Config or a shared base may bring along.
PASSED_OVER = ("default_scope", "custom_imports", "env_cfg", "randomness", "classes")
Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True)
class QuerySettings:
    """What is searched for.

    Attributes:
        concepts: A text file (``name; synonym; synonym`` per line), or the lines.
        templates: Name of a set of templates, a file, or the templates.
        synonyms: Whether synonyms are queried too.
    """

    concepts: str | Sequence[str]
    templates: str | Sequence[str] = "photo"
    synonyms: bool = False


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How it is searched.

    Attributes:
        modes: Of 'T2I' and 'T2T'.
        k: Hits per query and mode.
        batch_size: Queries per call of faiss; no influence on the result.
    """

    modes: Sequence[str] = MODES
    k: int = 50
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_modes(self.modes)
        for name in ("k", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"search.{name} must be 1 or more, not {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class RetrievalSettings:
    """The whole config.

    Attributes:
        work_dir: Output folder.
        pool: Sources, see :func:`~.readers.list_pool`.
        embed, index, query, search, select, export, sample, hard_pairs: Settings per stage;
            ``query`` and ``hard_pairs`` are None when the config has none.
    """

    work_dir: str
    pool: list[dict[str, Any]]
    embed: EmbedSettings
    index: IndexSettings
    query: QuerySettings | None
    search: SearchSettings
    select: SelectionRules
    export: ExportSettings
    sample: tuple[SampleSettings, ...]
    hard_pairs: HardPairSettings | None


def parse_settings(config: Mapping[str, Any]) -> RetrievalSettings:
    """Check a config.

    Args:
        config: Plain dictionaries and lists, as in ``configs/retrieval``.

    Returns:
        The settings.

    Raises:
        ValueError: Naming the key that is unknown, missing or out of range.
    """
    for key in config:
        if key not in (*KNOWN, *PASSED_OVER):
            raise ValueError(f"the config has the unknown key {key!r}{near_matches(key, KNOWN)}")
    if not config.get("work_dir"):
        raise ValueError("the config lacks `work_dir`, the output folder")
    if not config.get("pool"):
        raise ValueError("the config's `pool` is missing or empty: give at least one source")
    pool = config["pool"]
    samples = config.get("sample") or []
    samples = [samples] if isinstance(samples, Mapping) else samples
    parsed = tuple(_section(SampleSettings, s, f"sample[{i}]") for i, s in enumerate(samples))
    names = [sample.name for sample in parsed]
    if len(set(names)) != len(names):
        raise ValueError(f"two samples have the same name: {', '.join(names)}")
    query, hard_pairs = config.get("query"), config.get("hard_pairs")
    return RetrievalSettings(
        work_dir=str(config["work_dir"]),
        pool=[pool] if isinstance(pool, Mapping) else list(pool),
        embed=_section(EmbedSettings, config.get("embed"), "embed"),
        index=_section(IndexSettings, config.get("index"), "index"),
        query=None if query is None else _section(QuerySettings, query, "query"),
        search=_section(SearchSettings, config.get("search"), "search"),
        select=_section(SelectionRules, config.get("select"), "select"),
        export=_section(ExportSettings, config.get("export"), "export"),
        sample=parsed,
        hard_pairs=hard_pairs
        if hard_pairs is None
        else _section(HardPairSettings, hard_pairs, "hard_pairs"),
    )


def _section(kind: type[Settings], values: Mapping[str, Any] | None, name: str) -> Settings:
    """Make a settings object, refusing unknown keys."""
    values = dict(values or {})
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ValueError(
                f"the config has the unknown key {name}.{key}{near_matches(key, known)}; known are "
                f"{', '.join(known)}"
            )
    for key, value in values.items():
        if isinstance(value, list):
            values[key] = tuple(value)
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
