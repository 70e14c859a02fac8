import hashlib
import json
from pathlib import Path

import pytest
from fake_world import picture

from react_mm.retrieval.held_out import held_out_hashes


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "eval ü" / "class"
    root.mkdir(parents=True)
    for i in range(3):
        (root / f"{i}.PNG").write_bytes(picture("red", i))
    (root / "notes.txt").write_text("no image")
    return root.parent


def test_folders_lists_and_filtered_pairs_give_the_hashes(folder: Path, tmp_path: Path) -> None:
    shas = {_sha(picture("red", i)) for i in range(3)}
    assert set(held_out_hashes([folder])) == shas
    (folder / "list.txt").write_text(f"class/1.PNG\n\n{'AB' * 32}\n")
    assert set(held_out_hashes([folder / "list.txt"])) == {_sha(picture("red", 1)), "ab" * 32}
    rows = [
        {"image": f"class/{i}.PNG", "text": "", "split": "test" if i else "x"} for i in range(3)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = {"path": str(folder), "pairs": "pairs.jsonl", "where": {"split": "test"}}
    assert set(held_out_hashes([source])) == {_sha(picture("red", i)) for i in (1, 2)}
    assert held_out_hashes([]) == {}


def test_an_exported_set_can_be_held_out(finished: Path) -> None:
    hashes = held_out_hashes([finished / "work/samples/general"])
    assert len(hashes) == 9


def test_missing_and_empty_sources_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    (tmp_path / "void.txt").write_text("\n")
    (tmp_path / "bad.txt").write_text("\nnothing.png\n")
    cases = {"gone": "does not exist", "void": "no image", "void.txt": "is empty"}
    for name, words in {**cases, "bad.txt": "line 2.*nothing.png"}.items():
        with pytest.raises(ValueError, match=f"{name}.*{words}"):
            held_out_hashes([tmp_path / name])
