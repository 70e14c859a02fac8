from pathlib import Path

import numpy as np
import pytest
from fake_world import HashEncoder

from react_mm.retrieval.queries import encode_queries, make_queries


def test_every_concept_meets_every_template() -> None:
    queries = make_queries(["red", "apple"], ["a photo of a {}.", "the {}"])
    assert [(q.concept, q.text) for q in queries] == [
        ("red", "a photo of a red."),
        ("red", "the red"),
        ("apple", "a photo of an apple."),
        ("apple", "the apple"),
    ]
    assert len({q.id for q in queries}) == 4


def test_ids_do_not_depend_on_the_rest_of_the_list(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("blue\nred; scarlet\n", encoding="utf-8")
    one = {q.text: q.id for q in make_queries(["red"], ["a {}"])}
    two = {q.text: q.id for q in make_queries(str(tmp_path / "c.txt"), ["the {}", "a {}"])}
    assert two["a red"] == one["a red"]
    assert "a scarlet" not in two


def test_synonyms_are_queries_of_their_concept_and_equal_texts_are_one() -> None:
    queries = make_queries(["red; scarlet; red"], ["a {}", "a {}"], synonyms=True)
    assert [(q.concept, q.text) for q in queries] == [("red", "a red"), ("red", "a scarlet")]
    shared = make_queries(["red; ruby", "pink; ruby"], ["{}"], synonyms=True)
    assert len({q.id for q in shared}) == 4


@pytest.mark.parametrize(
    ("concepts", "words"), [([], "empty"), (["red", "Red"], "twice"), (["; x"], "no name")]
)
def test_bad_concept_lists_are_refused(concepts: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_queries(concepts)


def test_embeddings_follow_the_order_of_the_queries() -> None:
    queries = make_queries(["red", "blue", "green"], ["a {}", "the {}", "one {}"])
    rows = encode_queries(queries, HashEncoder(), batch_size=2)
    want = [HashEncoder().encode_texts([query.text])[0] for query in queries]
    np.testing.assert_array_equal(rows, np.stack(want))
