import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_world import HashEncoder, pair, picture, write_pool, write_tar
from PIL import Image

from react_mm.manifest import Manifest, ManifestError, sha256_bytes
from react_mm.retrieval.embeddings import EmbedSettings, embed_pool
from react_mm.retrieval.readers import list_pool
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


def _embed(
    pool: Path, out: Path, encoder: HashEncoder | None = None, **settings: object
) -> Manifest:
    units = list_pool([{"type": "webdataset", "path": str(pool)}])
    encoder = encoder or HashEncoder()
    settings = {"batch_size": 7, **settings}
    return embed_pool(units, encoder, out, EmbedSettings(**settings), progress=False)


def _bytes_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_layout_is_clip_retrievals_and_rows_are_the_encoders(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", shards=2, per_shard=10)
    manifest = _embed(pool, tmp_path / "out")
    encoder = HashEncoder()
    for number in range(2):
        rows = np.load(tmp_path / f"out/img_emb/img_emb_{number:04d}.npy")
        texts = np.load(tmp_path / f"out/text_emb/text_emb_{number:04d}.npy")
        table = pq.read_table(tmp_path / f"out/metadata/metadata_{number:04d}.parquet")
        assert rows.dtype == texts.dtype == np.float16 and rows.shape == (10, 16)
        with tarfile.open(pool / f"pool-{number:06d}.tar") as archive:
            for i, meta in enumerate(table.to_pylist()):
                data = archive.extractfile(meta["member"]).read()
                pixels = encoder.prepare(Image.open(io.BytesIO(data)).convert("RGB"))
                want = encoder.encode_images(pixels[None])[0].astype(np.float16)
                np.testing.assert_array_equal(rows[i], want)
                caption = archive.extractfile(f"{meta['key']}.txt").read().decode()
                assert meta["caption"] == caption
                want = encoder.encode_texts([caption])[0].astype(np.float16)
                np.testing.assert_array_equal(texts[i], want)
                assert meta["sha256"] == sha256_bytes(data)
                assert (meta["width"], meta["height"]) == (24, 20)
    content = json.loads((tmp_path / "out/manifest.json").read_text())
    assert content["facts"]["encoder"] == encoder.identity and content["complete"]
    assert content["files"]["img_emb/img_emb_0001.npy"]["rows"] == 10
    assert manifest.facts["read"] == manifest.facts["kept"] == 20
    manifest.verify()


BAD = {
    "nocaption": ("missing caption", [("nocaption.png", picture("red", 1))]),
    "blank": ("empty caption", [("blank.png", picture("red", 1)), ("blank.txt", b"  ")]),
    "latin": ("invalid UTF-8", [("latin.png", picture("red", 1)), ("latin.txt", b"caf\xe9")]),
    "html": ("unreadable image", [("html.jpg", b"<html>"), ("html.txt", b"red")]),
    "cut": ("truncated image", [("cut.png", picture("red", 1)[:400]), ("cut.txt", b"red")]),
    "big": (
        "too large in pixels",
        [("big.png", picture("red", 1, size=(90, 90))), ("big.txt", b"x")],
    ),
    "text": ("missing image", [("text.txt", b"red")]),
    "../up": ("unsafe member", [("../up.png", picture("red", 1)), ("../up.txt", b"red")]),
    "00": ("duplicate key", [("00.png", picture("red", 1)), ("00.txt", b"red")]),
}


def test_ledger_counts_every_bad_sample_and_adds_up(tmp_path: Path) -> None:
    good = [pair(f"{i:02d}", "green", i) for i in range(11)]
    members = [*good[0], *good[1]]
    for (_, bad), more in zip(BAD.values(), good[2:], strict=True):
        members += bad + more
    pool = write_tar(tmp_path / "pool.tar", members)
    manifest = _embed(pool, tmp_path / "out", max_pixels=5000)
    facts = manifest.facts
    assert facts["kept"] == 11 and facts["read"] == 11 + len(BAD)
    assert facts["rejected"] == {reason: 1 for reason, _ in BAD.values()}
    assert facts["read"] == facts["kept"] + sum(facts["rejected"].values())
    ledger = pq.read_table(tmp_path / "out/rejected.parquet").to_pylist()
    assert {row["key"]: row["reason"] for row in ledger} == {k: r for k, (r, _) in BAD.items()}
    positions = pq.read_table(tmp_path / "out/metadata/metadata_0000.parquet")[
        "position"
    ].to_pylist()
    assert sorted(positions + [row["position"] for row in ledger]) == list(range(facts["read"]))


class BatchSensitive(HashEncoder):
    """Rows depend on the number and place of the batch's rows, as the last bits of fp32 do."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        rows = super().encode_images(images)
        rows[:, 7] += 0.01 * len(images) + 0.002 * np.arange(len(images))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_rejected_sample_moves_no_neighbours_bytes(tmp_path: Path) -> None:
    pairs = [pair(f"{i:02d}", "green", i) for i in range(20)]
    good = write_tar(tmp_path / "good.tar", sum(pairs, []))
    pairs[9] = [("09.png", b"broken"), pairs[9][1]]
    bad = write_tar(tmp_path / "bad.tar", sum(pairs, []))
    for name, pool in (("g", good), ("b", bad)):
        _embed(pool, tmp_path / name, BatchSensitive())
    rows = {n: np.load(tmp_path / n / "img_emb/img_emb_0000.npy") for n in "gb"}
    np.testing.assert_array_equal(np.delete(rows["g"], 9, axis=0), rows["b"])


def test_bytes_do_not_depend_on_threads_or_on_parts_done_before(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool")
    _embed(pool, tmp_path / "one", BatchSensitive(), workers=1)
    _embed(pool, tmp_path / "two", BatchSensitive(), workers=3)
    (tmp_path / "two/parts/part_0001.json").unlink()
    os.remove(tmp_path / "two/img_emb/img_emb_0001.npy")
    encoder = BatchSensitive()
    _embed(pool, tmp_path / "two", encoder, workers=2)
    assert encoder.calls == 3  # 20 samples in batches of 7: only the missing part was redone
    assert _bytes_of(tmp_path / "one") == _bytes_of(tmp_path / "two")


def test_a_finished_pool_is_not_read_again_and_a_changed_shard_alone_is_redone(
    tmp_path: Path,
) -> None:
    pool = write_pool(tmp_path / "pool")
    _embed(pool, tmp_path / "out")
    before = _bytes_of(tmp_path / "out")
    encoder = HashEncoder()
    _embed(pool, tmp_path / "out", encoder)
    assert encoder.calls == 0 and _bytes_of(tmp_path / "out") == before
    os.utime(pool / "pool-000000.tar")  # another time, but equal bytes
    _embed(pool, tmp_path / "out", encoder)
    assert encoder.calls == 0
    write_tar(pool / "pool-000001.tar", pair("new", "red", 5))
    manifest = _embed(pool, tmp_path / "out", encoder)
    assert encoder.calls == 1 and manifest.facts["kept"] == 41
    (pool / "pool-000002.tar").unlink()
    manifest = _embed(pool, tmp_path / "out", encoder)
    assert manifest.facts["kept"] == 21
    assert not (tmp_path / "out/img_emb/img_emb_0002.npy").exists()
    assert StoredEmbeddings(tmp_path / "out").rows == 21


class Interrupted(HashEncoder):
    """Stops in its second batch, or calls a function there.

    Args:
        act: What to do in the second batch.
    """

    def __init__(self, act) -> None:  # noqa: ANN001
        super().__init__()
        self.act = act

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        rows = super().encode_images(images)
        if self.calls == 2:
            self.act()
        return rows


def _stop() -> None:
    raise KeyboardInterrupt


def test_a_part_that_was_begun_again_counts_as_unfinished(tmp_path: Path) -> None:
    """Even when its source is put back, since some of its files may be new."""
    pool = write_pool(tmp_path / "pool", shards=2)
    shard = pool / "pool-000000.tar"
    _embed(pool, tmp_path / "out")
    whole, before = _bytes_of(tmp_path / "out"), shard.read_bytes()
    shutil.copy(pool / "pool-000001.tar", shard)
    with pytest.raises(KeyboardInterrupt):
        _embed(pool, tmp_path / "out", Interrupted(_stop))
    shard.write_bytes(before)
    encoder = HashEncoder()
    _embed(pool, tmp_path / "out", encoder)
    assert encoder.calls == 3
    again = _bytes_of(tmp_path / "out")
    for name in ("parts/part_0000.json",):  # it holds the source's time
        del whole[name], again[name]
    assert again == whole


def test_a_shard_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", shards=1)
    shard = pool / "pool-000000.tar"
    with pytest.raises(RuntimeError, match="pool-000000.tar was changed while"):
        _embed(pool, tmp_path / "out", Interrupted(lambda: os.utime(shard, (1, 1))))
    assert not (tmp_path / "out/parts/part_0000.json").exists()


def test_another_encoder_or_batch_size_is_refused_or_redone(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", shards=1)
    _embed(pool, tmp_path / "out")
    with pytest.raises(ManifestError, match="architecture: 'fake' -> 'other'"):
        _embed(pool, tmp_path / "out", HashEncoder("other"))
    with pytest.raises(ManifestError, match="batch_size: 7 -> 8"):
        _embed(pool, tmp_path / "out", batch_size=8)
    encoder = HashEncoder("other")
    manifest = _embed(pool, tmp_path / "out", encoder, on_change="redo")
    assert encoder.calls == 3 and manifest.facts["encoder"]["architecture"] == "other"


class Broken(HashEncoder):
    """Returns what no encoder should.

    Args:
        fault: What is wrong.
    """

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        rows = super().encode_images(images)
        if self.fault == "nan":
            rows[1] = np.nan
        elif self.fault == "zero":
            rows[2] = 0
        elif self.fault == "norm":
            rows *= 2
        return rows[:, :-1] if self.fault == "dimension" else rows


@pytest.mark.parametrize("fault", ["nan", "zero"])
def test_nan_and_zero_rows_never_get_in(tmp_path: Path, fault: str) -> None:
    pool = write_pool(tmp_path / "pool", shards=1, per_shard=7)
    manifest = _embed(pool, tmp_path / "out", Broken(fault))
    assert manifest.facts["rejected"] == {"embedding not finite": 1}
    assert np.load(tmp_path / "out/img_emb/img_emb_0000.npy").shape == (6, 16)


@pytest.mark.parametrize(("fault", "words"), [("norm", "norm 2.0"), ("dimension", r"\(7, 15\)")])
def test_an_encoder_that_breaks_its_contract_is_refused(
    tmp_path: Path, fault: str, words: str
) -> None:
    pool = write_pool(tmp_path / "pool", shards=1, per_shard=7)
    with pytest.raises(ValueError, match=words):
        _embed(pool, tmp_path / "out", Broken(fault))


def test_a_pool_without_a_usable_pair_is_refused(tmp_path: Path) -> None:
    pool = write_tar(tmp_path / "x.tar", [("a.png", b"no image"), ("a.txt", b"x")])
    with pytest.raises(ValueError, match="no pair of the pool can be used.*unreadable image"):
        _embed(pool, tmp_path / "out")


def test_an_empty_shard_is_zero_rows(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", shards=2, per_shard=3)
    write_tar(pool / "pool-000000.tar", [])
    assert _embed(pool, tmp_path / "out").facts["kept"] == 3
    store = StoredEmbeddings(tmp_path / "out")
    assert store.parts == [(0, 0), (1, 3)]
    assert sum(len(block) for block in store.blocks("image")) == 3
    assert store.metadata(np.arange(3))["shard"].to_pylist() == [1, 1, 1]


def test_folders_and_shards_make_one_pool(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "x.tar", pair("a", "red", 0))
    for i in range(5):
        (tmp_path / f"photos/{i}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"photos/{i}.png").write_bytes(picture("blue", i))
        (tmp_path / f"photos/{i}.txt").write_text(f"blue {i}")
    pool = [
        {"type": "webdataset", "path": str(shard)},
        {"type": "folder", "path": str(tmp_path / "photos")},
    ]
    units = list_pool(pool, folder_slice=2)
    settings = EmbedSettings(batch_size=2, folder_slice=2)
    manifest = embed_pool(units, HashEncoder(), tmp_path / "out", settings, progress=False)
    assert manifest.facts["kept"] == 6
    table = StoredEmbeddings(tmp_path / "out").metadata(np.arange(6))
    assert table["key"].to_pylist() == ["a", "0", "1", "2", "3", "4"]
    assert table["shard"].to_pylist() == [0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("name", ["batch_size", "folder_slice", "workers"])
def test_settings_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"embed.{name} must be 1 or more"):
        EmbedSettings(**{name: 0})
