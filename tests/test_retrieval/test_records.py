from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from react_mm.manifest import ManifestError
from react_mm.retrieval.records import REJECTED_SCHEMA, read_parquet, table_of, write_parquet

ROW = {"shard": 1, "position": 2, "source": "x", "key": "ü", "reason": "r", "detail": ""}


def test_tables_come_back_and_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    table = table_of([ROW, ROW], REJECTED_SCHEMA)
    write_parquet(tmp_path / "a.parquet", table)
    write_parquet(tmp_path / "b.parquet", table.replace_schema_metadata({"note": "x"}))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_parquet(tmp_path / "a.parquet", REJECTED_SCHEMA).equals(table)
    assert table_of([], REJECTED_SCHEMA).schema.equals(REJECTED_SCHEMA)


def test_missing_damaged_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(ManifestError, match="a.parquet is missing"):
        read_parquet(path)
    pq.write_table(pa.table({"shard": [1], "more": [2]}), path)
    with pytest.raises(ManifestError, match="a.parquet lacks the column.*position, source"):
        read_parquet(path, REJECTED_SCHEMA)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ManifestError, match="a.parquet cannot be read as parquet"):
        read_parquet(path)
