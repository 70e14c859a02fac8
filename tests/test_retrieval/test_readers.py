import gzip
from pathlib import Path

import pytest
from fake_world import pair, source, write_folder, write_tar

from react_mm.retrieval.decoding import Rejected
from react_mm.retrieval.readers import PoolError, list_pool, read_bytes
from react_mm.retrieval.records import Sample


def test_what_is_no_tar_is_refused_by_name(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "good.tar", pair("a", "red", 0))
    zipped = tmp_path / "zipped.tar"
    zipped.write_bytes(gzip.compress(good.read_bytes()))
    page = tmp_path / "page.tar"
    page.write_bytes(b"<html>" * 1000)
    nothing = tmp_path / "nothing.tar"
    nothing.touch()
    for path, words in ((zipped, "gzip"), (page, "not a tar"), (nothing, "0 bytes")):
        with pytest.raises(PoolError, match=f"{path.name}.*{words}"):
            list_pool(source(path))
    with pytest.raises(PoolError, match="nothing.tar"):
        list_pool(source(tmp_path))


def test_pools_that_are_missing_empty_or_misspelt_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = str(write_tar(tmp_path / "a" / "good.tar", pair("a", "red", 0)))
    cases = [
        ([], "pool is empty"),
        (source(tmp_path / "no" / "*.tar"), "no tar shard"),
        (source(tmp_path / "empty"), "no tar shard"),
        (source(tmp_path / "empty", "folder"), "has no image"),
        (source(tmp_path / "no", "folder"), "does not exist"),
        (source(good, "tfrecord"), "'tfrecord'; known are webdataset, folder"),
        (source(good, pairs="x"), "unknown key.*pairs"),
        ([{"type": "webdataset"}], "path is missing"),
        (source(good) + source(tmp_path / "a"), r"pool\[1\].*also in pool\[0\]"),
    ]
    for pool, words in cases:
        with pytest.raises(PoolError, match=words):
            list_pool(pool)


def test_fingerprint_and_content_follow_the_source(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "f")
    shard = write_tar(tmp_path / "x.tar", pair("a", "red", 0))
    pool = source(shard) + source(root, "folder")
    before = [(unit.fingerprint(), unit.content_hash()) for unit in list_pool(pool)]
    assert before == [(unit.fingerprint(), unit.content_hash()) for unit in list_pool(pool)]
    write_tar(shard, pair("a", "blue", 0))
    (root / "sub" / "1 ü.txt").write_text("other")
    after = [(unit.fingerprint(), unit.content_hash()) for unit in list_pool(pool)]
    for old, new in zip(before, after, strict=True):
        assert old[0] != new[0] and old[1] != new[1]


def test_read_bytes_refuses_short_and_absent_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(Rejected, match="truncated image: 2 of 5 bytes"):
        read_bytes(Sample(0, "k", str(tmp_path / "a"), "", 1, 5))
    with pytest.raises(Rejected, match="missing image"):
        read_bytes(Sample(0, "k", str(tmp_path / "b"), "", 0, 5))
