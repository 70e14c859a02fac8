"""``metafile.yml`` of each config folder: reading, checking, adding what is missing.

The format is OpenMMLab's (Collections, Models, Results, Config, Weights, Paper, README). Beyond it
every result names its ``Origin``: ``measured`` here (with the page or result file it stands in, and
the command), ``converted`` (weights of others under our evaluation), or ``published`` by others.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from react_mm.manifest import atomic_path

METAFILE = "metafile.yml"
MEASURED, CONVERTED, PUBLISHED = "measured", "converted", "published"
ORIGINS = (MEASURED, CONVERTED, PUBLISHED)
_MODEL_KEYS = {"Name", "In Collection", "Config", "Metadata", "Weights", "Results"}
_RESULT_KEYS = {"Task", "Dataset", "Metrics", "Origin", "Source", "Command", "Of", "Note"}
_COLLECTION_KEYS = {"Name", "Metadata", "Paper", "README", "Code"}


def config_folders(configs: str | Path) -> list[Path]:
    """Folders of ``configs/`` with configs of their own, ``_base_`` left out."""
    folders = {path.parent for path in Path(configs).glob("*/*.py")}
    return sorted(folder for folder in folders if folder.name != "_base_")


def read_metafile(folder: str | Path) -> dict[str, Any]:
    """Reads ``metafile.yml`` of a config folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no YAML mapping with Collections and Models.
    """
    path = Path(folder) / METAFILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: python -m react_mm.reporting.model_zoo")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"Collections", "Models"}:
        raise ValueError(f"{path}: expected the keys Collections and Models")
    return content


def problems(root: str | Path) -> list[str]:
    """What is wrong with the metafiles of a checkout; empty when they hold.

    Every config stands in its folder's metafile and README table and every entry is a config; names
    and collections exist; every result has an origin and a source; what was measured here names its
    command, and its figures stand in the page that is named.

    Args:
        root: The checkout.
    """
    root, found = Path(root), []
    for folder in config_folders(root / "configs"):
        try:
            content = read_metafile(folder)
        except (FileNotFoundError, ValueError) as error:
            found.append(str(error))
            continue
        where = folder.relative_to(root).as_posix()
        found += [f"{where}/{METAFILE}: {text}" for text in _check(content, folder, root)]
        found += [f"{where}/README.md: {text}" for text in _check_readme(folder)]
    return found


def _check(content: dict[str, Any], folder: Path, root: Path) -> Iterator[str]:
    collections = [entry.get("Name") for entry in content["Collections"]]
    for entry in content["Collections"]:
        if extra := set(entry) - _COLLECTION_KEYS:
            yield f"collection {entry.get('Name')}: unknown keys {sorted(extra)}"
        if not (root / str(entry.get("README"))).is_file():
            yield f"collection {entry.get('Name')}: README {entry.get('README')} does not exist"
    listed = [str(model.get("Config")) for model in content["Models"]]
    own = [path.relative_to(root).as_posix() for path in sorted(folder.glob("*.py"))]
    yield from (f"{path} has no entry" for path in own if path not in listed)
    yield from (f"{path} is no config of this folder" for path in listed if path not in own)
    yield from (f"{path} stands twice" for path in {p for p in listed if listed.count(p) > 1})
    for model in content["Models"]:
        name = model.get("Name")
        if name != Path(str(model.get("Config"))).stem:
            yield f"model {name}: its name is not that of its config {model.get('Config')}"
        if extra := set(model) - _MODEL_KEYS:
            yield f"model {name}: unknown keys {sorted(extra)}"
        if model.get("In Collection") not in collections:
            yield f"model {name}: collection {model.get('In Collection')!r} does not exist"
        for result in model.get("Results") or []:
            yield from (f"model {name}: {text}" for text in _check_result(result, root))


def _check_result(result: dict[str, Any], root: Path) -> Iterator[str]:
    what = f"result on {result.get('Dataset')}"
    if extra := set(result) - _RESULT_KEYS:
        yield f"{what}: unknown keys {sorted(extra)}"
    missing = [k for k in ("Task", "Dataset", "Metrics", "Origin", "Source") if not result.get(k)]
    if missing:
        yield f"{what}: {', '.join(missing)} missing"
        return
    if result["Origin"] not in ORIGINS:
        yield f"{what}: origin {result['Origin']!r} is none of {', '.join(ORIGINS)}"
    if result["Origin"] == PUBLISHED:
        if "Command" in result:
            yield f"{what}: published by others, but a command is given"
        return
    if not result.get("Command"):
        yield f"{what}: measured here without the command"
    page = root / result["Source"]
    if not page.is_file():
        yield f"{what}: its source {result['Source']} does not exist"
        return
    text = page.read_text(encoding="utf-8")
    for metric, value in result["Metrics"].items():
        if not re.search(rf"(?<![\d.]){re.escape(str(value))}(?![\d])", text):
            yield f"{what}: {metric} {value} does not stand in {result['Source']}"


def readme_patterns(readme: str | Path) -> list[str]:
    """File patterns in the first column of a README's tables.

    ``<set>`` stands for anything, ``{a,b}`` for either, a leading ``...`` or ``*`` for any start.
    """
    patterns = []
    for line in Path(readme).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            continue
        for word in re.findall(r"[\w.*<>{},-]+\.py", line.split("|")[1]):
            word = re.sub(r"<[^>]*>", "*", word)
            choices = re.split(r"\{([^}]*)\}", word)
            parts = [part.split(",") if place % 2 else [part] for place, part in enumerate(choices)]
            patterns += [
                re.sub(r"^\.\.\.", "*", "".join(chosen)) for chosen in itertools.product(*parts)
            ]
    return patterns


def _check_readme(folder: Path) -> Iterator[str]:
    readme = folder / "README.md"
    if not readme.is_file():
        yield "does not exist"
        return
    names = [path.name for path in sorted(folder.glob("*.py"))]
    patterns = readme_patterns(readme)
    for name in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            yield f"its tables lack {name}"
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            yield f"its tables name {pattern}, which no config is"


def add_missing(root: str | Path) -> list[str]:
    """Adds an entry without results for every config that has none, and drops those of no config.

    The collection is that of the entry whose name begins most alike.

    Returns:
        The names that were added.
    """
    root, added = Path(root), []
    for folder in config_folders(root / "configs"):
        if not (folder / METAFILE).is_file():
            continue
        content = read_metafile(folder)
        models = {model["Name"]: model for model in content["Models"]}
        names = [path.stem for path in sorted(folder.glob("*.py"))]
        new = [name for name in names if name not in models]
        for name in new:
            alike = max(models, key=lambda other: len(os.path.commonprefix([other, name])))
            models[name] = {
                "Name": name,
                "In Collection": models[alike]["In Collection"],
                "Config": f"{folder.relative_to(root).as_posix()}/{name}.py",
                "Results": [],
            }
        content["Models"] = [models[name] for name in sorted(set(names) & set(models))]
        if new or len(content["Models"]) != len(models):
            write_metafile(folder, content)
        added += new
    return added


class _Dumper(yaml.SafeDumper):
    """Writes repeated parts out in full: anchors are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def write_metafile(folder: str | Path, content: dict[str, Any]) -> None:
    """Writes ``metafile.yml``, keys in the order given."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    with atomic_path(Path(folder) / METAFILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
