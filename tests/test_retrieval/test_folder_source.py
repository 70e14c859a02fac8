import json
from pathlib import Path

import pytest
from fake_world import picture, source, write_folder

from react_mm.retrieval import decoding
from react_mm.retrieval.readers import PoolError, list_pool, read_bytes


def test_folder_with_txt_siblings_is_cut_into_fixed_slices(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos")
    (root / "sub" / "3 ü.txt").unlink()
    (root / "sub" / ".hidden.png").write_bytes(b"")
    units = list_pool(source(root, "folder"), folder_slice=2)
    assert [unit.name.rpartition("[")[2] for unit in units] == ["0:2]", "2:4]", "4:5]"]
    samples = [sample for unit in units for sample in unit.samples()]
    assert [sample.position for sample in samples] == [0, 1, 0, 1, 0]
    assert [sample.key for sample in samples] == [f"sub/{i} ü" for i in range(5)]
    assert samples[3].caption is None and samples[4].caption == b"caption 4"
    assert read_bytes(samples[4]) == picture("red", 4)


def _write_pairs(root: Path, rows: list[object]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (root / "pairs.jsonl").write_text(text, encoding="utf-8")


def test_pairs_file_with_where_and_bad_rows(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    rows = [{"image": f"sub/{i} ü.png", "text": f"t{i}", "split": "train"} for i in range(3)]
    rows += [{"image": "sub/4 ü.png", "text": "t4", "split": "test"}]
    rows += [{"image": "sub/0 ü.png", "text": "again", "split": "train"}]
    rows += [{"image": "/etc/passwd.png", "text": "x", "split": "train"}]
    rows += [{"image": "../x.png", "text": "x", "split": "train"}]
    rows += [{"image": "gone.png", "text": "x", "split": "train"}]
    rows += [{"image": "sub/3 ü.png", "split": "train"}]
    _write_pairs(root, rows)
    pool = source(root, "folder", pairs="pairs.jsonl", where={"split": "train"})
    (unit,) = list_pool(pool)
    samples = unit.samples()
    assert [s.caption for s in samples if not s.reason] == [b"t0", b"t1", b"t2"]
    assert [s.reason for s in samples if s.reason] == [
        decoding.DUPLICATE_KEY,
        decoding.UNSAFE_MEMBER,
        decoding.UNSAFE_MEMBER,
        decoding.MISSING_IMAGE,
        decoding.MISSING_CAPTION,
    ]
    unit.fingerprint(), unit.content_hash()


def test_pairs_file_errors_name_file_line_and_values(tmp_path: Path) -> None:
    pool = source(tmp_path, "folder", pairs="pairs.jsonl")
    with pytest.raises(PoolError, match="pairs.jsonl does not exist"):
        list_pool(pool)
    cases = [
        (['{"image": "a.png"', "{}"], "pairs.jsonl, line 1 is not valid JSON"),
        ([{"image": "a.png", "text": "x"}, {"text": "y"}], "line 2 lacks the field 'image'"),
        ([], "has no pair"),
    ]
    for rows, words in cases:
        _write_pairs(tmp_path, rows)
        with pytest.raises(PoolError, match=words):
            list_pool(pool)
    _write_pairs(tmp_path, [{"image": "a.png", "text": "x", "split": "val"}])
    with pytest.raises(PoolError, match="split is 'val'"):
        list_pool([{**pool[0], "where": {"split": "train"}}])
