"""The records that cross the retrieval stages, and their parquet schemas."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from react_mm.manifest import ManifestError, atomic_path

MODES = ("T2I", "T2T")
"""Search modes: text query against image keys, text query against text keys."""

METADATA_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("image_path", pa.string()),  # the image file, or the tar shard that holds it
        ("member", pa.string()),  # name inside the shard; empty for an image file
        ("offset", pa.int64()),  # first byte of the image inside image_path
        ("size", pa.int64()),  # bytes of the image
        ("caption", pa.string()),
        ("url", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),  # of the image's bytes
        ("position", pa.int32()),  # slot inside the unit of work, rejected samples counted
    ]
)
"""One row per embedded pair (``metadata/metadata_NNNN.parquet``)."""

REJECTED_SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("position", pa.int32()),
        ("source", pa.string()),
        ("key", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""One row per sample that was read and not kept (``rejected.parquet``)."""

HIT_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("concept", pa.string()),
        ("template", pa.string()),
        ("mode", pa.string()),
        ("row", pa.int64()),  # row of the index, counted over all shards
        ("key", pa.string()),
        ("rank", pa.int32()),  # 0 is the best of its query and mode
        ("score", pa.float32()),  # cosine
        ("standard_score", pa.float32()),  # score against the query's scores on random pairs
    ]
)
"""One row per hit (``hits/hits.parquet``)."""

PAIR_SCHEMA = pa.schema([("row", pa.int64()), ("shard", pa.int32()), *METADATA_SCHEMA])
"""Metadata of the pairs that were hit (``hits/pairs.parquet``), one row per pair."""

CHOICE_SCHEMA = pa.schema(
    [
        *PAIR_SCHEMA,
        ("concept", pa.string()),  # concept of the best hit
        ("modes", pa.string()),  # modes that hit the pair, joined by '+'
        ("best_score", pa.float32()),  # cosine of the best hit
        ("standard_score", pa.float32()),
        ("hits", pa.int32()),  # how many queries hit the pair
    ]
)
"""One row per selected pair (``selected/selected.parquet``)."""


@dataclass(frozen=True)
class Sample:
    """Where one image-text pair lies; nothing but names, places and small texts is held.

    Attributes:
        position: Slot inside its unit of work; a rejected sample keeps its slot.
        key: Name of the pair, unique within its unit of work.
        image_path: The image file, or the tar shard.
        member: Name inside the shard, empty for an image file.
        offset: First byte of the image inside ``image_path``.
        size: Bytes of the image.
        caption: Bytes of the caption as stored (UTF-8 is checked later), None when there is none.
        url: Address of the image when the source states it, else empty.
        reason: Why the sample is rejected before its image is opened; empty when it is not.
        detail: More about the reason.
    """

    position: int
    key: str
    image_path: str = ""
    member: str = ""
    offset: int = 0
    size: int = 0
    caption: bytes | None = None
    url: str = ""
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Query:
    """One text that is searched for.

    Attributes:
        id: Stable id: equal for equal concept and text, whatever the rest of the list.
        concept: The concept the query stands for.
        template: The template it was made with.
        text: What is encoded.
    """

    id: str
    concept: str
    template: str
    text: str


def write_parquet(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a table atomically; equal tables give equal bytes.

    Args:
        path: Final file name.
        table: What to write; its schema metadata is dropped.
    """
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def read_parquet(
    path: str | os.PathLike[str], schema: pa.Schema | None = None, columns: list[str] | None = None
) -> pa.Table:
    """Read a parquet file and check its columns.

    Args:
        path: The file.
        schema: Columns that must be there; they are cast to its types and other columns dropped.
        columns: Names to read; all when None.

    Raises:
        ManifestError: If the file is missing, unreadable or lacks a column; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path} is missing; run the stage that writes it again")
    try:
        table = pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(f"{path} cannot be read as parquet ({error})") from error
    if schema is None:
        return table
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ManifestError(f"{path} lacks the column(s) {', '.join(missing)}")
    return table.select(schema.names).cast(schema)


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Make a table from dictionaries, with the schema also when there is no row."""
    return pa.Table.from_pylist(rows, schema=schema)
