import gzip
import multiprocessing
import os
import pickle
import tarfile

import pytest

from react_mm.datasets import tar_index
from react_mm.datasets.tar_index import TarIndex, TarReader, split_key
from tests.pair_shards import add, write_shard


def test_offsets_give_the_bytes_that_tarfile_gives(tmp_path):
    shard = write_shard(tmp_path / "a.tar", 5)
    index, reader = TarIndex.open(shard), TarReader()
    with tarfile.open(shard) as tar:
        expected = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    assert len(index) == 15
    assert {m.name: reader.read(shard, m.offset, m.size) for m in index.members} == expected
    inline = {m.name: m.content for m in index.members if m.content is not None}
    assert inline == {n: c for n, c in expected.items() if not n.endswith(".png")}


def test_headers_are_read_once(tmp_path, monkeypatch):
    shard = write_shard(tmp_path / "a.tar", 3)
    first = TarIndex.open(shard)
    monkeypatch.setattr(tar_index, "_scan", lambda path: pytest.fail("headers were read again"))
    assert TarIndex.open(shard).members == first.members


def test_a_changed_shard_is_indexed_anew(tmp_path):
    shard = write_shard(tmp_path / "a.tar", 3)
    TarIndex.open(shard)
    write_shard(shard, 4)
    assert len(TarIndex.open(shard)) == 12
    before = shard.stat()
    write_shard(shard, 4, first=1)  # as long as before, written later
    assert shard.stat().st_size == before.st_size
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert TarIndex.open(shard).members[0].name == "k001.png"


def test_a_damaged_index_is_made_anew(tmp_path):
    shard = write_shard(tmp_path / "a.tar", 3)
    expected = TarIndex.open(shard).members
    stored = shard.with_name("a.tar.index.arrow")
    content = stored.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * len(content)):
        stored.write_bytes(damaged)
        assert TarIndex.open(shard).members == expected
    assert stored.read_bytes() == content


def test_index_in_a_cache_folder(tmp_path):
    shard = write_shard(tmp_path / "a.tar", 3)
    TarIndex.open(shard, cache_dir=tmp_path / "cache")
    assert not shard.with_name("a.tar.index.arrow").exists()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_place_that_cannot_be_written_falls_back(tmp_path, monkeypatch):
    shard = write_shard(tmp_path / "a.tar", 3)
    shard.with_name("a.tar.index.arrow").mkdir()  # os.replace onto a folder fails, for root too
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert len(TarIndex.open(shard)) == 9
    assert len(list((tmp_path / "home" / "react_mm").iterdir())) == 1


def test_unsafe_members_never_enter(tmp_path):
    shard = tmp_path / "a.tar"
    with tarfile.open(shard, "w") as tar:
        add(tar, "good.txt", b"yes")
        for name in ("/etc/evil.txt", "../evil.txt", "a/../../evil.txt", "..\\evil.txt"):
            add(tar, name, b"no")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"special{ord(kind)}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    index = TarIndex.open(shard)
    assert [m.name for m in index.members] == ["good.txt"]
    assert index.rejected == {"unsafe name": 4, "not a regular file": 4}
    assert TarIndex.open(shard).rejected == index.rejected


@pytest.mark.parametrize("cut", [700, 5000, 9000])
def test_a_truncated_shard_keeps_its_whole_members(tmp_path, cut):
    whole = write_shard(tmp_path / "whole.tar", 6)
    members = TarIndex.open(whole).members
    short = tmp_path / "short.tar"
    short.write_bytes(whole.read_bytes()[:-cut])
    index = TarIndex.open(short)
    size = short.stat().st_size
    assert index.members == [m for m in members if m.offset + m.size <= size]
    reader = TarReader()
    for member in index.members:
        assert len(reader.read(short, member.offset, member.size)) == member.size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>" * 40, "is not a tar"),
        (gzip.compress(b"x" * 2000), "compressed"),
    ],
)
def test_what_is_no_tar_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.tar"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.tar.*{message}"):
        TarIndex.open(path)
    with pytest.raises(FileNotFoundError, match=r"none\.tar"):
        TarIndex.open(tmp_path / "none.tar")


@pytest.mark.parametrize(
    ("name", "key", "suffix"),
    [
        ("a.jpg", "a", ".jpg"),
        ("d.1/b.Seg.PNG", "d.1/b", ".seg.png"),
        ("noext", "noext", ""),
        ("x/y/z.txt", "x/y/z", ".txt"),
    ],
)
def test_split_key(name, key, suffix):
    assert split_key(name) == (key, suffix)


def test_first_of_duplicates_counts(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "k.txt", b"one")
        add(tar, "k.txt", b"two")
    ((key, files),) = TarIndex.open(tmp_path / "a.tar").samples()
    assert (key, files[".txt"].content) == ("k", b"one")


def _read_many(reader, shard, members, queue):
    ok = all(len(reader.read(shard, *m)) == m[1] for m in members * 200)
    queue.put((ok, reader.read(shard, *members[0])))


def test_forked_readers_do_not_disturb_each_other(tmp_path):
    shard = write_shard(tmp_path / "a.tar", 6)
    members = [(m.offset, m.size) for m in TarIndex.open(shard).members]
    reader = TarReader()
    expected = [reader.read(shard, *m) for m in members]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    jobs = [
        context.Process(target=_read_many, args=(reader, shard, members[i:] + members[:i], queue))
        for i in range(4)
    ]
    for job in jobs:
        job.start()
    results = [queue.get(timeout=60) for _ in jobs]
    for job in jobs:
        job.join()
    assert all(ok for ok, _ in results)
    assert {content for _, content in results} == set(expected[:4])
    assert [reader.read(shard, *m) for m in members] == expected
    assert pickle.loads(pickle.dumps(reader)).read(shard, *members[0]) == expected[0]


def test_few_descriptors_and_a_shard_that_shrank(tmp_path):
    shards = [write_shard(tmp_path / f"{i}.tar", 1, first=i) for i in range(5)]
    reader = TarReader(max_open=2)
    for _ in range(3):
        for shard in shards:
            assert reader.read(shard, 0, 4) == b"k00" + shard.name[:1].encode()
    assert len(reader._open) == 2
    with pytest.raises(OSError, match="ends before"):
        reader.read(shards[0], 0, 10**6)
    reader.close()
