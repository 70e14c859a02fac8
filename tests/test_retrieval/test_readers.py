import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from fake_world import add_member, pair, picture, write_pool, write_tar

from react_mm.retrieval import decoding
from react_mm.retrieval.decoding import Rejected
from react_mm.retrieval.readers import PoolError, list_pool, read_bytes
from react_mm.retrieval.records import Sample


def _pool(path: Path | str, **more: object) -> list[dict]:
    kind = more.pop("type", "webdataset")
    return [{"type": kind, "path": str(path), **more}]


def _samples(shard: Path) -> list[Sample]:
    (unit,) = list_pool(_pool(shard))
    return unit.samples()


def _reasons(samples: list[Sample]) -> dict[str, str]:
    return {sample.key: sample.reason for sample in samples}


def test_tar_samples_equal_what_tarfile_reads(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "my pöol", shards=2, per_shard=5)
    units = list_pool(_pool(pool))
    assert [unit.number for unit in units] == [0, 1]
    with tarfile.open(pool / "pool-000001.tar") as archive:
        truth = {name: archive.extractfile(name).read() for name in archive.getnames()}
    samples = units[1].samples()
    assert [s.position for s in samples] == list(range(5))
    for sample in samples:
        assert read_bytes(sample) == truth[f"{sample.key}.png"]
        assert sample.caption == truth[f"{sample.key}.txt"]
    assert list_pool(_pool(pool / "*-000001.tar"))[0].source == units[1].source
    assert list_pool(_pool(units[1].source))[0].source == units[1].source


def test_key_ends_at_the_first_dot_of_the_base_name(tmp_path: Path) -> None:
    image = picture("red", 0)
    members = [("a.b/c.d.jpg", image), ("a.b/c.seg.png", image), ("a.b/c.JPG", image)]
    samples = _samples(write_tar(tmp_path / "x.tar", [*members, ("a.b/c.txt", b"red")]))
    assert [(s.key, s.member, s.reason) for s in samples] == [("a.b/c", "a.b/c.JPG", "")]


def test_members_of_a_key_need_not_be_neighbours(tmp_path: Path) -> None:
    first, second = pair("a", "red", 0), pair("b", "blue", 1)
    members = [first[0], second[0], first[1], second[1]]
    assert _reasons(_samples(write_tar(tmp_path / "x.tar", members))) == {"a": "", "b": ""}


def test_caption_and_url_from_json(tmp_path: Path) -> None:
    facts = json.dumps({"caption": "a réd thing", "url": "http://x/y.jpg"}).encode()
    bad = b"[" * 100_000
    members = [("a.jpg", b"1"), ("a.json", facts), ("b.jpg", b"2"), ("b.json", bad)]
    a, b = _samples(write_tar(tmp_path / "x.tar", members))
    assert (a.caption, a.url) == ("a réd thing".encode(), "http://x/y.jpg")
    assert b.caption is None


def test_duplicate_keys_keep_the_first_and_count_the_rest(tmp_path: Path) -> None:
    members = pair("a", "red", 0) + pair("b", "blue", 1) + pair("a", "green", 2)
    samples = _samples(write_tar(tmp_path / "x.tar", members))
    assert [(s.key, s.reason) for s in samples] == [
        ("a", ""),
        ("a", decoding.DUPLICATE_KEY),
        ("b", ""),
    ]
    assert read_bytes(samples[0]) == picture("red", 0)


def _unsafe_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in pair("good", "red", 0):
            add_member(archive, name, data)
        for name in ("/etc/evil.png", "../up.png", "a/../../b.png"):
            add_member(archive, name, picture("red", 1))
        kinds = {"sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "dev": tarfile.CHRTYPE}
        for name, kind in {**kinds, "fifo": tarfile.FIFOTYPE}.items():
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
            add_member(archive, f"{name}.txt", b"text")
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        add_member(archive, "payload.pkl", b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    return path


def test_unsafe_members_are_counted_and_nothing_is_unpacked(tmp_path: Path) -> None:
    samples = _samples(_unsafe_tar(tmp_path / "x.tar"))
    reasons = _reasons(samples)
    assert reasons.pop("good") == ""
    assert set(reasons) == {"/etc/evil", "../up", "a/../../b", "sym", "hard", "dev", "fifo"}
    assert set(reasons.values()) == {decoding.UNSAFE_MEMBER}
    details = " ".join(sample.detail for sample in samples)
    assert "absolute name" in details and "'..'" in details and "link" in details
    assert [p.name for p in tmp_path.rglob("*")] == ["x.tar"]


def test_missing_parts_are_counted(tmp_path: Path) -> None:
    members = [("a.png", picture("red", 0)), ("b.txt", b"text"), ("stats.json", b"{}")]
    samples = _samples(write_tar(tmp_path / "x.tar", members))
    assert _reasons(samples) == {"a": "", "b": decoding.MISSING_IMAGE}
    assert samples[0].caption is None


@pytest.mark.parametrize("share", [0.3, 0.5, 0.77])
def test_truncated_tar_keeps_the_whole_pairs_and_says_so(tmp_path: Path, share: float) -> None:
    whole = write_tar(tmp_path / "whole.tar", sum((pair(f"{i}", "red", i) for i in range(20)), []))
    data = whole.read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(data[: int(len(data) * share)])
    samples = _samples(cut)
    good = [s for s in samples if not s.reason and s.caption is not None]
    assert 20 * share - 3 < len(good) < 20
    assert any(s.reason == decoding.DAMAGED_SHARD for s in samples)
    for sample in good:
        assert read_bytes(sample) == picture("red", int(sample.key))


def test_damaged_header_in_the_middle_is_counted(tmp_path: Path) -> None:
    members = sum((pair(f"{i}", "red", i) for i in range(4)), [])
    path = write_tar(tmp_path / "x.tar", members)
    with tarfile.open(path) as archive:
        offset = archive.getmember("2.png").offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 512] = b"\x55" * 512
    path.write_bytes(data)
    samples = _samples(path)
    assert _reasons(samples) == {"0": "", "1": "", "": decoding.DAMAGED_SHARD}
    assert f"byte {offset}" in samples[-1].detail


def test_data_after_the_end_mark_is_counted(tmp_path: Path) -> None:
    a, b = (write_tar(tmp_path / f"{n}.tar", pair(n, "red", 0)) for n in "ab")
    joined = tmp_path / "joined.tar"
    joined.write_bytes(a.read_bytes() + b.read_bytes())
    assert _reasons(_samples(joined)) == {"a": "", "": decoding.DAMAGED_SHARD}


def test_long_and_foreign_names_and_an_archive_without_members(tmp_path: Path) -> None:
    key = "ordner-ü/" + "x" * 150
    assert _reasons(_samples(write_tar(tmp_path / "x.tar", pair(key, "red", 0)))) == {key: ""}
    assert _samples(write_tar(tmp_path / "empty.tar", [])) == []


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
            list_pool(_pool(path))
    with pytest.raises(PoolError, match="nothing.tar"):
        list_pool(_pool(tmp_path))


def test_pools_that_are_missing_empty_or_misspelt_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = str(write_tar(tmp_path / "a" / "good.tar", pair("a", "red", 0)))
    cases = [
        ([], "pool is empty"),
        (_pool(tmp_path / "no" / "*.tar"), "no tar shard"),
        (_pool(tmp_path / "empty"), "no tar shard"),
        (_pool(tmp_path / "empty", type="folder"), "has no image"),
        (_pool(tmp_path / "no", type="folder"), "does not exist"),
        (_pool(good, type="tfrecord"), "'tfrecord'; known are webdataset, folder"),
        (_pool(good, pairs="x"), "unknown key.*pairs"),
        ([{"type": "webdataset"}], "path is missing"),
        (_pool(good) + _pool(tmp_path / "a"), r"pool\[1\].*also in pool\[0\]"),
    ]
    for pool, words in cases:
        with pytest.raises(PoolError, match=words):
            list_pool(pool)


def _folder(root: Path, count: int = 5) -> Path:
    for i in range(count):
        path = root / "sub" / f"{i} ü.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture("red", i))
        path.with_suffix(".txt").write_text(f"caption {i}", encoding="utf-8")
    return root


def test_folder_with_txt_siblings_is_cut_into_fixed_slices(tmp_path: Path) -> None:
    root = _folder(tmp_path / "photos")
    (root / "sub" / "3 ü.txt").unlink()
    (root / "sub" / ".hidden.png").write_bytes(b"")
    units = list_pool(_pool(root, type="folder"), folder_slice=2)
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
    root = _folder(tmp_path)
    rows = [{"image": f"sub/{i} ü.png", "text": f"t{i}", "split": "train"} for i in range(3)]
    rows += [{"image": "sub/4 ü.png", "text": "t4", "split": "test"}]
    rows += [{"image": "sub/0 ü.png", "text": "again", "split": "train"}]
    rows += [{"image": "/etc/passwd.png", "text": "x", "split": "train"}]
    rows += [{"image": "../x.png", "text": "x", "split": "train"}]
    rows += [{"image": "gone.png", "text": "x", "split": "train"}]
    rows += [{"image": "sub/3 ü.png", "split": "train"}]
    _write_pairs(root, rows)
    pool = _pool(root, type="folder", pairs="pairs.jsonl", where={"split": "train"})
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
    pool = _pool(tmp_path, type="folder", pairs="pairs.jsonl")
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


def test_fingerprint_and_content_follow_the_source(tmp_path: Path) -> None:
    root = _folder(tmp_path / "f")
    shard = write_tar(tmp_path / "x.tar", pair("a", "red", 0))
    pool = _pool(shard) + _pool(root, type="folder")
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


def test_sample_readers_give_no_caption_for_huge_text_members(tmp_path: Path) -> None:
    members = [("a.png", picture("red", 0)), ("a.txt", b"x" * (3 << 20))]
    (sample,) = _samples(write_tar(tmp_path / "x.tar", members))
    assert len(sample.caption or b"") == 1 << 20
    assert io.BytesIO(sample.caption).read(1) == b"x"
