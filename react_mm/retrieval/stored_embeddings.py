"""Read access to a folder of embeddings: rows by number, in blocks, with their metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from react_mm.manifest import Manifest, ManifestError
from react_mm.retrieval.records import METADATA_SCHEMA, PAIR_SCHEMA, read_parquet
from react_mm.retrieval.unit_embedding import unit_names

MODALITIES = ("image", "text")


def check_rows(rows: np.ndarray, name: str) -> None:
    """Refuse rows that are not finite or not L2-normalised.

    Args:
        rows: (N, D) float.
        name: Name for the message.

    Raises:
        ManifestError: Naming the first bad row.
    """
    norms = np.linalg.norm(rows.astype(np.float32), axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) <= 1e-2))
    if len(bad):
        raise ManifestError(
            f"{name}: row {bad[0]} has norm {norms[bad[0]]:.4g} instead of 1 "
            f"({len(bad)} such rows): the embeddings are not finite or not normalised"
        )


class StoredEmbeddings:
    """A complete folder written by :func:`~.embeddings.embed_pool`.

    Rows are numbered over all parts in order of their numbers.

    Args:
        folder: The folder.

    Attributes:
        manifest: Its manifest.
        identity: Identity of the encoder.
        dimension: D.
        rows: Number of pairs.
        parts: ``(number, rows)`` per part.

    Raises:
        ManifestError: If the folder is incomplete or its parts' row counts differ.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.load(folder)
        if self.manifest.stage != "embed" or not self.manifest.complete:
            raise ManifestError(f"{folder} holds no complete embeddings; run the stage 'embed'")
        facts = self.manifest.facts
        self.identity: dict[str, Any] = facts["encoder"]
        self.dimension = int(facts["dimension"])
        self.parts = [(int(unit["number"]), int(unit["kept"])) for unit in facts["units"]]
        self.starts = np.cumsum([0, *(rows for _, rows in self.parts)])
        self.rows = int(self.starts[-1])

    def verify(self) -> None:
        """Check every file's bytes against the manifest.

        Raises:
            ManifestError: Naming the first file that is missing or changed.
        """
        self.manifest.verify()

    def part(self, modality: str, index: int) -> np.ndarray:
        """Memory-map one part.

        Args:
            modality: 'image' or 'text'.
            index: Position in ``parts``.

        Returns:
            (rows, D) float16, read-only.

        Raises:
            ManifestError: If the file is missing, truncated, of another shape, or holds objects.
        """
        number, rows = self.parts[index]
        path = self.folder / unit_names(number)[modality]
        try:
            array = np.load(path, mmap_mode="r" if rows else None, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ManifestError(f"{path} cannot be read as an array ({error})") from error
        if array.shape != (rows, self.dimension) or array.dtype.kind != "f":
            raise ManifestError(
                f"{path} is {array.dtype} {array.shape}, the manifest says {(rows, self.dimension)}"
            )
        return array

    def blocks(self, modality: str, size: int = 65536) -> Iterator[np.ndarray]:
        """Yield all rows in order, in float32 blocks of at most ``size`` rows, each checked.

        Args:
            modality: 'image' or 'text'.
            size: Most rows of a block.

        Yields:
            (n, D) float32.
        """
        for index, (number, rows) in enumerate(self.parts):
            array = self.part(modality, index)
            for first in range(0, rows, size):
                block = np.array(array[first : first + size], np.float32)
                check_rows(block, str(self.folder / unit_names(number)[modality]))
                yield block

    def take(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Read chosen rows.

        Args:
            modality: 'image' or 'text'.
            rows: int64 (N,), each in [0, self.rows).

        Returns:
            (N, D) float32 in the order asked for.
        """
        rows = self._checked(rows)
        result = np.empty((len(rows), self.dimension), np.float32)
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        for index in np.unique(part_of):
            mine = part_of == index
            result[mine] = self.part(modality, int(index))[rows[mine] - self.starts[index]]
        return result

    def metadata(self, rows: np.ndarray) -> pa.Table:
        """Read the metadata of chosen rows.

        Args:
            rows: int64 (N,), each in [0, self.rows).

        Returns:
            Table with :data:`~.records.PAIR_SCHEMA`, in the order asked for.
        """
        rows = self._checked(rows)
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        tables, order = [PAIR_SCHEMA.empty_table()], []
        for index in np.unique(part_of):
            mine = np.flatnonzero(part_of == index)
            number, count = self.parts[int(index)]
            path = self.folder / unit_names(number)["metadata"]
            table = read_parquet(path, METADATA_SCHEMA)
            if table.num_rows != count:
                raise ManifestError(f"{path} has {table.num_rows} rows instead of {count}")
            table = table.take(pa.array(rows[mine] - self.starts[index]))
            shard = pa.array(np.full(len(mine), number, np.int32))
            columns = [pa.array(rows[mine]), shard, *table.columns]
            tables.append(pa.table(columns, schema=PAIR_SCHEMA))
            order.append(mine)
        inverse = np.argsort(np.concatenate(order)) if order else np.empty(0, np.int64)
        return pa.concat_tables(tables).take(pa.array(inverse))

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        """Row numbers as int64; refuses those outside."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= self.rows):
            raise IndexError(f"rows {rows.min()} to {rows.max()} asked of {self.rows}")
        return rows
