"""What the chain reads out of its configs before any long work, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from react_mm.chain.settings import ChainSettings, Part
from react_mm.chain.splits import check_validation
from react_mm.datasets.base_novel import read_coco
from react_mm.datasets.renamed_classes import read_synonyms
from react_mm.engine.configuration import load_config
from react_mm.manifest import sha256_bytes
from react_mm.prompts import Vocabulary, read_concepts
from react_mm.retrieval.readers import list_pool
from react_mm.retrieval.settings import RetrievalSettings, parse_settings
from react_mm.suggestions import near_matches

SETS = ("retrieved", "general", "control")
"""Variables of a customization config that name a set of pairs."""
TASKS = ("detection", "synonyms")
BASE_KEYS = ("type", "arch", "pretrained", "checkpoint")


def retrieval_settings(settings: ChainSettings) -> dict[str, Any]:
    """The retrieval config with the chain's names and output folder."""
    config = Config.fromfile(str(settings.retrieval.config))
    config.merge_from_dict(dict(settings.retrieval.options))
    content = config.to_dict()
    content["work_dir"] = str(settings.work_dir / "retrieval")
    content["query"] = {**(content.get("query") or {}), "concepts": settings.names}
    return content


def parsed_retrieval(settings: ChainSettings) -> RetrievalSettings:
    """The same, checked."""
    return parse_settings(retrieval_settings(settings))


def pool_identity(settings: ChainSettings) -> str:
    """Hash of names, sizes and times of what the pool consists of."""
    rows = []
    for unit in list_pool(parsed_retrieval(settings).pool):
        source = Path(unit.source)
        state = source.stat()
        entries = None if unit.entries is None else repr(unit.entries)
        rows.append((unit.name, entries, None if source.is_dir() else state.st_size))
        rows.append((unit.name, None if source.is_dir() else state.st_mtime_ns))
    return sha256_bytes(json.dumps(rows).encode())


def sets_of(config: Config) -> list[str]:
    """Which of :data:`SETS` a customization config trains on."""
    sources = config.train_dataloader.dataset.get("sources") or ()
    paths = [source["path"] for source in sources]
    return [name for name in SETS if config.get(name) and config[name] in paths]


def set_folder(root: Path, name: str) -> Path:
    """Where retrieval puts a set."""
    folder = root / "retrieval"
    return folder / "retrieved" if name == "retrieved" else folder / "samples" / name


def annotation_file(dataset: Mapping[str, Any]) -> Path | None:
    """The annotation file of a detection data set's config; None for other data."""
    if "ann_file" not in dataset:
        return None
    return Path(dataset.get("data_root") or "") / dataset["ann_file"]


def tower_key(config: Config) -> str:
    """Where ``delta`` and ``gate_scale`` stand in a config's model."""
    return "model" if "image_tower" in config.model else "model.backbone"


def check(settings: ChainSettings) -> None:
    """Refuses what cannot work before any long work starts.

    Raises:
        ConfigKeyError, FileNotFoundError, ValueError: Naming the config and the key.
    """
    retrieval = parsed_retrieval(settings)
    samples = {sample.name for sample in retrieval.sample}
    detector = load_config(settings.detector.config, settings.detector.options)
    for arm, part in settings.customization.items():
        config = load_config(part.config, part.options)
        check_base(detector, config, f"customization.{arm}")
        found = sets_of(config)
        if not {"retrieved", "control"} & set(found):
            raise ValueError(
                f"customization.{arm}: {part.config} trains on no set of the chain; its sources "
                f"must be the config's variables {', '.join(SETS)}"
            )
        for name in set(found) - {"retrieved"} - samples:
            raise ValueError(
                f"customization.{arm} trains on the sample {name!r}, which "
                f"{settings.retrieval.config} does not draw{near_matches(name, samples)}"
            )
    for task in TASKS:
        if task in settings.tests:
            raise ValueError(f"tests.{task}: the name is taken; give the test another one")
    parts: list[Part] = list(settings.tests.values())
    if settings.detector.hold_out is None:
        check_validation(detector)
    if settings.gate_scale is not None:
        parts.append(settings.gate_scale)
        config = load_config(settings.gate_scale.config, settings.gate_scale.options)
        if settings.detector.hold_out is None:
            check_validation(config)
    for part in parts:
        check_base(detector, load_config(part.config, part.options), str(part.config))
    if settings.synonyms is not None:
        vocabulary_hook(detector)
    if settings.world is None:
        read_concepts(settings.names)
        if settings.synonyms is not None:
            read_synonyms(settings.synonyms)


def check_base(detector: Config, other: Config, where: str) -> None:
    """Refuses a config on another base than the detector's: its delta would fit no tower.

    Raises:
        ValueError: Naming both bases.
    """
    bases = []
    for config in (detector, other):
        tower = config.model.get("image_tower") or config.model.get("backbone") or {}
        bases.append({k: tower.get(k) for k in BASE_KEYS if tower.get(k) is not None})
    if bases[0] != bases[1]:
        raise ValueError(f"{where} is on the base {bases[1]}, the detector on {bases[0]}")


def vocabulary_hook(config: Config) -> int:
    """Position of ``VocabularyHook`` in a config's custom hooks.

    Raises:
        ValueError: If there is none.
    """
    for position, hook in enumerate(config.get("custom_hooks") or ()):
        if hook["type"].rpartition(".")[2] == "VocabularyHook":
            return position
    raise ValueError(f"{config.filename} has no react_mm.VocabularyHook in custom_hooks")


def check_names(names: Vocabulary, annotation: Path) -> dict[str, list[str]]:
    """Compares what is retrieved with what is tested.

    Args:
        names: The chain's names.
        annotation: COCO file of the test split.

    Returns:
        ``tested`` and ``not_tested`` names.

    Raises:
        ValueError: If none of the names is a class of the test split.
    """
    classes = [category["name"] for category in read_coco(annotation)["categories"]]
    tested = [name for name in names.names if name in classes]
    if not tested:
        hint = near_matches(names.names[0], classes)
        raise ValueError(
            f"none of the {len(names)} names to retrieve is a class of {annotation}{hint}; the "
            "names must be written as there"
        )
    return {"tested": tested, "not_tested": [n for n in names.names if n not in tested]}


def renamed(names: Sequence[str], source: str) -> dict[str, str]:
    """Each name that has a synonym, with its first one.

    Args:
        names: The names whose classes are renamed.
        source: See :func:`react_mm.datasets.renamed_classes.read_synonyms`.

    Raises:
        ValueError: If no name has a synonym.
    """
    words = read_synonyms(source)
    found = {name: words.synonyms[name][0] for name in names if words.synonyms.get(name)}
    if not found:
        raise ValueError(f"synonyms: {source} has no synonym of any name that is tested")
    return found
