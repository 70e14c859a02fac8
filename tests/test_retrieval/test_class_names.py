"""Names found in captions, and captions without them."""

import json
from pathlib import Path

import pytest

from react_mm.retrieval.class_names import NamePattern
from react_mm.retrieval.folder_source import list_folder
from react_mm.retrieval.readers import PoolError, list_pool

NAMES = ["apple", "red grapefruit", "passion fruit", "t-shirt", "milk", "sour milk"]


@pytest.mark.parametrize(
    ("caption", "found", "struck"),
    [
        ("a photo of Golden Delicious, apple", ["apple"], "a photo of Golden Delicious"),
        ("Apples, pineapple and milk.", ["apple", "milk"], "pineapple and."),
        ("Sour-Milk in a box", ["sour milk"], "in a box"),
        ("a T shirt, red  grapefruit", ["t-shirt", "red grapefruit"], "a"),
        ("nothing of it, really", [], "nothing of it, really"),
        ("apple", ["apple"], ""),
    ],
)
def test_whole_words_without_regard_to_case_and_number(caption, found, struck):
    pattern = NamePattern(NAMES)
    assert pattern.found(caption) == found
    assert pattern.struck(caption) == struck
    assert not pattern.found(pattern.struck(caption))


def test_no_name_is_refused():
    for names in ([], ["a", " "]):
        with pytest.raises(ValueError, match="at least one"):
            NamePattern(names)


def test_a_pool_without_its_names(tmp_path: Path) -> None:
    rows = [{"image": "a.jpg", "text": "an apple, green"}, {"image": "b.jpg", "text": "a boat"}]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    captions = [e.caption for e in list_folder(str(tmp_path), "pairs.jsonl", strike=["apple"])]
    assert captions == ["an, green", "a boat"]
    source = {"type": "folder", "path": str(tmp_path), "pairs": "pairs.jsonl"}
    (plain,) = list_pool([source])
    (hard,) = list_pool([{**source, "strike": ["apple"]}])
    assert plain.content_hash() != hard.content_hash()  # another pool: it is embedded anew
    with pytest.raises(PoolError, match="`strike` needs `pairs`"):
        list_pool([{"type": "folder", "path": str(tmp_path), "strike": ["apple"]}])
