from pathlib import Path

import pytest

from react_mm.retrieval.records import CHOICE_SCHEMA
from react_mm.retrieval.sampling import SampleSettings, sample_pairs
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


@pytest.fixture
def store(finished: Path) -> StoredEmbeddings:
    return StoredEmbeddings(finished / "work/embeddings")


def test_a_seed_decides_the_sample_and_nothing_comes_twice(store: StoredEmbeddings) -> None:
    one, two, other = (sample_pairs(store, 20, seed) for seed in (1, 1, 2))
    assert one.equals(two) and not one.equals(other)
    assert one.schema.equals(CHOICE_SCHEMA)
    rows = one["row"].to_pylist()
    assert rows == sorted(set(rows)) and len(rows) == 20 and max(rows) < 60


def test_every_row_is_as_likely(store: StoredEmbeddings) -> None:
    counts = [0] * 60
    for seed in range(60):
        for row in sample_pairs(store, 30, seed)["row"].to_pylist():
            counts[row] += 1
    assert sum(counts) == 1800 and min(counts) > 14 and max(counts) < 46


def test_excluded_images_never_come_and_too_many_give_what_there_is(
    store: StoredEmbeddings,
) -> None:
    excluded = set(sample_pairs(store, 25, 0)["sha256"].to_pylist())
    rest = sample_pairs(store, 1000, 0, excluded)
    assert rest.num_rows == 35
    assert not excluded & set(rest["sha256"].to_pylist())


def test_equal_images_come_once_unless_asked_for(store: StoredEmbeddings) -> None:
    class Repeating(StoredEmbeddings):
        def __init__(self) -> None:
            self.__dict__.update(store.__dict__)

        def metadata(self, rows):  # noqa: ANN001, ANN202
            table = super().metadata(rows)
            values = [f"sha{row // 2}" for row in table["row"].to_pylist()]
            return table.set_column(table.schema.get_field_index("sha256"), "sha256", [values])

    assert sample_pairs(Repeating(), 1000, 0).num_rows == 30
    assert sample_pairs(Repeating(), 1000, 0, exact_duplicates=False).num_rows == 60


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "../x"}, "name of a folder"),
        ({"name": ""}, "name of a folder"),
        ({"name": "a", "number": 0}, "1 or more"),
        ({"name": "a", "number": "all"}, "'all'"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SampleSettings(**values)
