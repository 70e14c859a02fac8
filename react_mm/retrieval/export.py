"""Chosen pairs to webdataset shards, a parquet table and a data card.

The image's bytes are copied unchanged and checked against the sha256 noted when they were embedded.
Equal choices give equal bytes; a killed export goes on after its last whole shard.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
from tqdm import tqdm

from react_mm.manifest import Manifest, ManifestError, atomic_path, sha256_bytes
from react_mm.retrieval.readers import read_bytes
from react_mm.retrieval.records import Sample, write_parquet

PAIRS_NAME = "pairs.parquet"


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """How a set is written.

    Attributes:
        shard_size: Pairs per tar file.
        prefix: Start of the shards' names.
    """

    shard_size: int = 1000
    prefix: str = "set"

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise ValueError(f"export.shard_size must be 1 or more, not {self.shard_size}")
        if not self.prefix or "/" in self.prefix:
            raise ValueError(f"export.prefix {self.prefix!r} cannot start a file name")


def export_set(
    choice: pa.Table,
    manifest: Manifest,
    settings: ExportSettings,
    card: Mapping[str, Any],
    progress: bool = True,
) -> None:
    """Write the shards, ``pairs.parquet`` and ``DATACARD.md``; the caller saves the manifest.

    Args:
        choice: Table with :data:`~.records.CHOICE_SCHEMA`.
        manifest: Record of the output folder, with settings and inputs set; files are added to it.
        settings: How to write.
        card: Values for the data card's template.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If nothing was chosen.
        ManifestError: If an image is no longer what was embedded; the message names it.
    """
    if not choice.num_rows:
        raise ValueError("nothing is selected, so that there is nothing to export")
    folder = manifest.folder
    names = export_keys(choice["key"].to_pylist(), choice["row"].to_pylist())
    _take_over_finished(manifest, settings.prefix)
    rows, shards = choice.to_pylist(), []
    with tqdm(total=len(rows), unit="pair", desc="export", disable=not progress) as bar:
        for first in range(0, len(rows), settings.shard_size):
            shard = f"{settings.prefix}-{first // settings.shard_size:06d}.tar"
            part = slice(first, first + settings.shard_size)
            if shard not in manifest.files:
                write_shard(folder / shard, rows[part], names[part])
                manifest.add(folder / shard, len(rows[part]))
                manifest.save(complete=False)
            shards += [shard] * len(rows[part])
            bar.update(len(rows[part]))
    write_parquet(folder / PAIRS_NAME, _pairs_table(choice, names, shards))
    manifest.add(folder / PAIRS_NAME, len(rows))
    sizes = Counter(shards)
    text = render_template("datacard.md.jinja", pairs=len(rows), shards=len(sizes), **card)
    with atomic_path(folder / "DATACARD.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    manifest.add(folder / "DATACARD.md")


def _take_over_finished(manifest: Manifest, prefix: str) -> None:
    """Keep whole shards of a killed run with equal settings and inputs; remove all others."""
    try:
        old = Manifest.load(manifest.folder)
    except ManifestError:
        old = None
    if old and old.settings == manifest.settings and old.inputs == manifest.inputs:
        for name, entry in old.files.items():
            path = manifest.folder / name
            whole = path.is_file() and path.stat().st_size == entry["bytes"]
            if name.endswith(".tar") and whole:
                manifest.files[name] = entry
    for path in manifest.folder.glob(f"{prefix}-*.tar"):
        if path.name not in manifest.files:
            path.unlink()
    manifest.save(complete=False)


def export_keys(keys: list[str], rows: list[int]) -> list[str]:
    """Names of the pairs inside the shards, unique in the set.

    Dots end a key in webdataset and slashes make folders, so both become ``_``; where two pairs
    would share a name, each gets its row number in front.

    Args:
        keys: Keys in the pool.
        rows: Row numbers, distinct.

    Returns:
        One name per pair.
    """
    clean = [key.replace("/", "_").replace("\\", "_").replace(".", "_") for key in keys]
    clean = [key.lstrip("_") or "pair" for key in clean]
    repeated = Counter(clean)
    names = [
        key if repeated[key] == 1 else f"{row:09d}-{key}"
        for key, row in zip(clean, rows, strict=True)
    ]
    if len(set(names)) != len(names):
        return [f"{row:09d}-{key}" for key, row in zip(clean, rows, strict=True)]
    return names


def source_of(row: Mapping[str, Any]) -> str:
    """Where a pair's image came from: the file, or ``SHARD::MEMBER``."""
    return f"{row['image_path']}::{row['member']}" if row["member"] else row["image_path"]


def stored_image(row: Mapping[str, Any]) -> bytes:
    """Read an image's bytes and check that they are those that were embedded.

    Args:
        row: A row of :data:`~.records.PAIR_SCHEMA`.

    Raises:
        ManifestError: If they are not, or cannot be read.
    """
    place = (row["image_path"], row["member"], row["offset"], row["size"])
    try:
        data = read_bytes(Sample(0, row["key"], *place))
    except ValueError as error:
        raise ManifestError(f"{source_of(row)}: {error}; has the pool been moved?") from error
    if sha256_bytes(data) != row["sha256"]:
        raise ManifestError(f"{source_of(row)} has changed since it was embedded; embed again")
    return data


def write_shard(path: Path, rows: list[dict[str, Any]], names: list[str]) -> None:
    """Write one tar shard atomically: KEY.jpg (or its own suffix), KEY.txt, KEY.json.

    Args:
        path: The shard.
        rows: Rows of :data:`~.records.CHOICE_SCHEMA`.
        names: Their names inside the shard.
    """
    with (
        atomic_path(path) as temporary,
        tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for row, name in zip(rows, names, strict=True):
            suffix = (row["member"] or row["image_path"]).rpartition(".")[2].lower()
            facts = {
                field: row[field] for field in ("key", "concept", "modes", "sha256", "url", "hits")
            }
            for field in ("best_score", "standard_score"):
                facts[field] = None if row[field] is None else round(row[field], 6)
            facts["source"] = source_of(row)
            text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
            for ending, data in (
                (suffix, stored_image(row)),
                ("txt", row["caption"].encode()),
                ("json", text.encode()),
            ):
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _pairs_table(choice: pa.Table, names: list[str], shards: list[str]) -> pa.Table:
    """img2dataset's columns, then ours."""
    count = choice.num_rows
    size = {name: choice[name] for name in ("width", "height")}
    return pa.table(
        {
            "url": choice["url"],
            "caption": choice["caption"],
            "key": pa.array(names, pa.string()),
            "status": pa.array(["success"] * count, pa.string()),
            "error_message": pa.nulls(count, pa.string()),
            **size,
            "original_width": size["width"],
            "original_height": size["height"],
            "sha256": choice["sha256"],
            "shard": pa.array(shards, pa.string()),
            "source": pa.array([source_of(row) for row in choice.to_pylist()], pa.string()),
            "source_key": choice["key"],
            "row": choice["row"],
            "concept": choice["concept"],
            "modes": choice["modes"],
            "best_score": choice["best_score"],
            "standard_score": choice["standard_score"],
            "hits": choice["hits"],
        }
    )


def render_template(name: str, **values: Any) -> str:
    """Render a template of this package; HTML is escaped.

    Args:
        name: File in ``react_mm/retrieval/templates``.
        **values: What it shows.

    Returns:
        The text.
    """
    source = resources.files("react_mm.retrieval").joinpath("templates", name)
    environment = jinja2.Environment(
        autoescape=".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(source.read_text(encoding="utf-8")).render(**values)
