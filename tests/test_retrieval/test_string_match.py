"""Retrieval by captions alone, against a loop over the pool's metadata."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from react_mm.retrieval.records import CHOICE_SCHEMA
from react_mm.retrieval.stored_embeddings import StoredEmbeddings
from react_mm.retrieval.string_match import match_pairs


@pytest.fixture
def store(finished: Path) -> StoredEmbeddings:
    return StoredEmbeddings(finished / "work/embeddings")


def words_of(store):
    captions = store.metadata(np.arange(store.rows))["caption"].to_pylist()
    return Counter(word for caption in captions for word in set(caption.split())), captions


def test_only_captions_with_a_name_and_at_most_so_many(store: StoredEmbeddings) -> None:
    words, captions = words_of(store)
    name = next(w for w, n in words.most_common() if w.isalpha() and 3 < n < store.rows)
    table = match_pairs(store, [name], 1000)
    assert table.schema.equals(CHOICE_SCHEMA) and set(table["concept"].to_pylist()) == {name}
    assert table.num_rows > 2
    assert all(name in captions[row].split() for row in table["row"].to_pylist())
    two, again = match_pairs(store, [name], 2), match_pairs(store, [name], 2)
    assert two.num_rows == 2 and two.equals(again)
    excluded = set(table["sha256"].to_pylist()[:1])
    assert match_pairs(store, [name], 1000, 0, excluded).num_rows == table.num_rows - 1
    with pytest.raises(ValueError, match="no caption"):
        match_pairs(store, ["zzzz"], 10)
