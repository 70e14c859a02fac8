import io
import json
import tarfile
from pathlib import Path

import pytest
from fake_world import add_member, pair, picture, source, write_pool, write_tar

from react_mm.retrieval import decoding
from react_mm.retrieval.readers import list_pool, read_bytes
from react_mm.retrieval.records import Sample


def _samples(shard: Path) -> list[Sample]:
    (unit,) = list_pool(source(shard))
    return unit.samples()


def _reasons(samples: list[Sample]) -> dict[str, str]:
    return {sample.key: sample.reason for sample in samples}


def test_tar_samples_equal_what_tarfile_reads(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "my pöol", shards=2, per_shard=5)
    units = list_pool(source(pool))
    assert [unit.number for unit in units] == [0, 1]
    with tarfile.open(pool / "pool-000001.tar") as archive:
        truth = {name: archive.extractfile(name).read() for name in archive.getnames()}
    samples = units[1].samples()
    assert [s.position for s in samples] == list(range(5))
    for sample in samples:
        assert read_bytes(sample) == truth[f"{sample.key}.png"]
        assert sample.caption == truth[f"{sample.key}.txt"]
    assert list_pool(source(pool / "*-000001.tar"))[0].source == units[1].source
    assert list_pool(source(units[1].source))[0].source == units[1].source


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


def test_a_caption_cut_by_the_end_of_the_file_is_no_caption(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", pair("a", "red", 0) + pair("b", "red", 1))
    with tarfile.open(path) as archive:
        member = archive.getmember("b.txt")
    path.write_bytes(path.read_bytes()[: member.offset_data + member.size - 4])
    reasons = [(s.key, s.reason) for s in _samples(path)]
    assert reasons[:2] == [("a", ""), ("b", decoding.DAMAGED_SHARD)]


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


def test_sample_readers_give_no_caption_for_huge_text_members(tmp_path: Path) -> None:
    members = [("a.png", picture("red", 0)), ("a.txt", b"x" * (3 << 20))]
    (sample,) = _samples(write_tar(tmp_path / "x.tar", members))
    assert len(sample.caption or b"") == 1 << 20
    assert io.BytesIO(sample.caption).read(1) == b"x"
