"""Pairs per class of a retrieved set, and its bins."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from react_mm.evaluation.concept_frequency import class_counts, frequency_bins, read_counts


def test_counts_from_folder_parquet_and_json(tmp_path):
    table = pa.table({"key": ["a", "b", "c"], "concept": ["dog", "bee", "dog"]})
    pq.write_table(table, tmp_path / "pairs.parquet")
    (tmp_path / "counts.json").write_text(json.dumps({"dog": 2, "bee": 1}))
    for source in (tmp_path, tmp_path / "pairs.parquet", str(tmp_path / "counts.json")):
        assert read_counts(source) == {"dog": 2, "bee": 1}


def test_an_exported_set_is_read():
    """The column is the one that retrieval writes."""
    from react_mm.retrieval.export import PAIRS_NAME
    from react_mm.retrieval.records import CHOICE_SCHEMA

    assert PAIRS_NAME == "pairs.parquet" and "concept" in CHOICE_SCHEMA.names


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="pairs.parquet does not exist"):
        read_counts(tmp_path)
    pq.write_table(pa.table({"caption": ["x"]}), tmp_path / "pairs.parquet")
    with pytest.raises(ValueError, match="no column 'concept' but caption"):
        read_counts(tmp_path)
    (tmp_path / "pairs.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match="neither parquet nor .json"):
        read_counts(tmp_path)
    for text, said in [("{", "not JSON"), ("[1]", "holds no"), ('{"dog": 1.5}', "'dog' must be")]:
        (tmp_path / "counts.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            read_counts(tmp_path / "counts.json")


def test_names_are_compared_cleaned_and_synonyms_added():
    counts = {"Traffic light": 5, "hound": 3, "dog": 2, "ant": 1}
    found = class_counts(counts, ("traffic_light", "dog", "bee"), {"dog": ("hound",)})
    assert found.tolist() == [5, 5, 0]
    with pytest.raises(ValueError, match="none of the 1 classes.*did you mean hound"):
        class_counts(counts, ("hounds",))


def test_bins():
    bins = frequency_bins(np.array([0, 1, 9, 10, 99, 100, 5000]))
    assert {name: rows.tolist() for name, (_, rows) in bins.items()} == {
        "none": [0],
        "few": [1, 2],
        "medium": [3, 4],
        "many": [5, 6],
    }
    words = [words for words, _ in bins.values()]
    assert words == ["0", "1 to 9", "10 to 99", "100 or more"]
    for wrong in ((10,), (10, 10), (1, 5)):
        with pytest.raises(ValueError, match="two rising numbers above 1"):
            frequency_bins(np.zeros(1), wrong)
