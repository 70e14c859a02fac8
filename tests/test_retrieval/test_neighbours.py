"""Neighbours of training pairs: never the pair itself or a near-duplicate, cached by content."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from react_mm.manifest import ManifestError
from react_mm.retrieval import neighbours as module
from react_mm.retrieval.memory import RetrievalMemory
from react_mm.retrieval.neighbours import NeighbourSettings, neighbours_of
from react_mm.retrieval.pipeline import run
from react_mm.retrieval.stored_embeddings import StoredEmbeddings
from tests.test_retrieval.fake_world import HashEncoder, config, pair, picture, write_tar


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Thirty pairs; 30 to 32 have the pictures of 0 to 2, 33 a picture close to that of 3."""
    root = tmp_path_factory.mktemp("neighbours")
    names = ["red", "green", "blue", "yellow", "black", "white"]
    members = []
    for i in range(30):
        members += pair(f"{i:03d}", names[i % 6], i)
    for i in range(3):
        members += [(f"{30 + i:03d}.png", picture(names[i], i)), (f"{30 + i:03d}.txt", b"again")]
    write_tar(root / "pool" / "pool-0.tar", members)
    run(config(root / "pool", root / "work"), HashEncoder(), ["embed", "index"], progress=False)
    return root / "work"


def search(folder, side="image", cache="cache", memory=None, **settings):
    store = StoredEmbeddings(folder / "embeddings")
    memory = memory or RetrievalMemory(folder)
    options = NeighbourSettings(**{"duplicate_image": None, "block": 7, **settings})
    return neighbours_of(store, memory, side, options, folder / cache, progress=False)


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("way", ["uni", "cross"])
def test_own_pair_and_same_picture_are_never_among_them(folder, side, way):
    found = search(folder, side, k=40, search=way)
    picture_of = np.concatenate([np.arange(30), [0, 1, 2]])
    for number in range(33):
        rows = found.rows[number][found.rows[number] >= 0]
        assert number not in rows
        assert picture_of[number] not in picture_of[rows]
        assert len(rows) == (32 if picture_of[number] > 2 else 31)  # all others, though k > n


@pytest.mark.parametrize("side", ["image", "text"])
def test_near_duplicates_are_left_out_by_threshold(folder, side):
    store = StoredEmbeddings(folder / "embeddings")
    images = store.take("image", np.arange(33)).astype(float)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    cosine = images @ images.T
    limit = float(np.quantile(cosine, 0.95))
    found = search(folder, side, k=33, duplicate_image=limit)
    left_out = 0
    for number in range(33):
        rows = set(found.rows[number][found.rows[number] >= 0])
        near = set(np.flatnonzero(cosine[number] > limit + 2e-3))
        assert not rows & near
        left_out += len(near - {number})
        far = set(np.flatnonzero(cosine[number] < limit - 2e-3)) - {number}
        assert far - rows <= {0, 1, 2, 30, 31, 32}
    assert left_out > 10
    texts = search(folder, side, k=33, duplicate_text=0.5)
    assert (texts.rows >= 0).sum() < (search(folder, side, k=33).rows >= 0).sum()


def test_the_cache_is_used_and_keyed_by_content(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    folder = tmp_path / "copy"
    first = search(folder, k=3)
    calls = []
    original = module._search_all
    monkeypatch.setattr(module, "_search_all", lambda *a: (calls.append(1), original(*a)))
    again = search(folder, k=3, block=5)  # the block size does not count
    assert not calls and np.array_equal(first.rows, again.rows)
    search(folder, k=4)
    search(folder, k=3, search="cross")
    search(folder, "text", k=3)
    assert len(calls) == 3
    for path in (folder / "cache").glob("image-*/rows.npy"):  # a flipped byte: made anew
        data = bytearray(path.read_bytes())
        data[-8] ^= 1
        path.write_bytes(data)
    assert len(calls) == 3 and np.array_equal(search(folder, k=3).rows, _expected(folder))
    assert len(calls) == 5


def _expected(folder: Path) -> np.ndarray:
    return search(folder, cache="another", k=3).rows


def test_a_killed_search_leaves_nothing_that_is_taken_for_whole(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"))
    original, count = RetrievalMemory.search, []

    def stops(self, *arguments, **options):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return original(self, *arguments, **options)

    monkeypatch.setattr(RetrievalMemory, "search", stops)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "copy", k=3)
    assert not list((tmp_path / "copy" / "cache").rglob("*.npy"))
    assert np.array_equal(search(tmp_path / "copy", k=3).rows, search(folder, k=3).rows)


def test_another_encoder_is_refused(folder, tmp_path):
    run(
        config(folder.parent / "pool", tmp_path / "other"),
        HashEncoder("other"),
        ["embed", "index"],
        progress=False,
    )
    with pytest.raises(ManifestError, match="they differ in architecture"):
        search(folder, memory=RetrievalMemory(tmp_path / "other"))


@pytest.mark.parametrize("bad", [{"k": 0}, {"duplicate_image": 0.0}, {"duplicate_text": 2.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="neighbours"):
        NeighbourSettings(**bad)
