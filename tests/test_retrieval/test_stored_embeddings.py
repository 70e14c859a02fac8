import shutil
from pathlib import Path

import numpy as np
import pytest

from react_mm.manifest import ManifestError
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "work" / "embeddings", tmp_path / "moved"))


def test_take_blocks_and_metadata_agree_with_the_files(folder: Path) -> None:
    store = StoredEmbeddings(folder)
    store.verify()
    truth = np.concatenate([np.load(p) for p in sorted((folder / "text_emb").glob("*.npy"))])
    assert store.rows == len(truth) == 60 and store.dimension == truth.shape[1]
    np.testing.assert_array_equal(np.concatenate(list(store.blocks("text", 7))), truth)
    rows = np.array([59, 0, 20, 19, 0])
    np.testing.assert_array_equal(store.take("text", rows), truth[rows])
    table = store.metadata(rows)
    assert table["row"].to_pylist() == rows.tolist()
    assert table["key"].to_pylist() == [f"{row:06d}" for row in rows]
    assert store.metadata(np.empty(0, int)).num_rows == 0
    with pytest.raises(IndexError):
        store.take("text", np.array([-1]))
    with pytest.raises(IndexError):
        store.metadata(np.array([60]))


@pytest.mark.parametrize(
    "name", ["img_emb/img_emb_0001.npy", "metadata/metadata_0002.parquet", "rejected.parquet"]
)
def test_one_flipped_byte_and_a_missing_file_are_refused_by_name(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ManifestError, match=f"{Path(name).name} is damaged"):
        StoredEmbeddings(folder).verify()
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=f"{Path(name).name} is missing"):
        StoredEmbeddings(folder).verify()


def test_npy_truncated_of_another_shape_or_with_objects_is_refused(folder: Path) -> None:
    path = folder / "img_emb/img_emb_0000.npy"
    store, whole = StoredEmbeddings(folder), np.load(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ManifestError, match="img_emb_0000.npy cannot be read"):
        store.part("image", 0)
    np.save(path, whole[:, :-1])
    with pytest.raises(ManifestError, match=r"\(20, 15\), the manifest says \(20, 16\)"):
        store.part("image", 0)
    np.save(path, np.array([{"a": print}] * 20, object), allow_pickle=True)
    with pytest.raises(ManifestError, match="cannot be read"):
        store.part("image", 0)


@pytest.mark.parametrize("bad", [np.nan, 0.0, np.inf])
def test_rows_not_finite_or_not_normalised_are_refused(folder: Path, bad: float) -> None:
    path = folder / "img_emb/img_emb_0001.npy"
    rows = np.load(path)
    rows[4] = bad
    np.save(path, rows)
    with pytest.raises(ManifestError, match="img_emb_0001.npy: row 4"):
        list(StoredEmbeddings(folder).blocks("image"))


def test_incomplete_embeddings_are_refused(folder: Path) -> None:
    store = StoredEmbeddings(folder)
    store.manifest.save(complete=False)
    with pytest.raises(ManifestError, match="no complete embeddings"):
        StoredEmbeddings(folder)
