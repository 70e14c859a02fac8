"""The miner against brute force, and the stage on a finished retrieval folder."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_world import config

from react_mm.manifest import Manifest, ManifestError
from react_mm.retrieval.hard_pairs import HardPairSettings, mine_hard_pairs
from react_mm.retrieval.pipeline import run


def unit(rows: int, dimension: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pool(rows: int = 61) -> tuple[np.ndarray, np.ndarray]:
    """Pairs in few dimensions (many are near), with planted duplicates."""
    image, text = unit(rows, 4, 0), unit(rows, 3, 1)
    image[7], text[9], image[20], text[20] = image[3], text[3], image[3], text[30]
    return image, text


def brute_force(image, text, k, duplicate=0.98, allowed=None):
    a, b = image @ image.T, text @ text.T
    a[(a > duplicate) | (a < 0)] = 0
    b[(b > duplicate) | (b < 0)] = 0
    score = a * b
    np.fill_diagonal(score, 0)
    if allowed is not None:
        score[:, np.setdiff1d(np.arange(len(score)), allowed)] = 0
    order = np.argsort(-score, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(score, order, axis=1)
    return np.where(best > 0, order, -1), best


@pytest.mark.parametrize(("k", "block", "columns"), [(1, 1000, 1000), (5, 7, 10), (70, 61, 16)])
def test_the_miner_equals_brute_force(monkeypatch, k, block, columns):
    monkeypatch.setattr("react_mm.retrieval.hard_pairs._COLUMNS", columns)
    image, text = pool()
    found, scores = mine_hard_pairs(image, text, HardPairSettings(k=k, block=block))
    expected, best = brute_force(image, text, min(k, 61))
    assert found.shape == (61, k)
    np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
    np.testing.assert_allclose(scores[:, : best.shape[1]], best, atol=1e-6)
    assert (found[:, expected.shape[1] :] == -1).all()
    assert 7 not in found[3] and 9 not in found[3] and 20 not in found[3]  # duplicates
    assert not (found == np.arange(61)[:, None]).any()
    if k == 70:
        assert (found == -1).any() and (found >= 0).any()


def test_equal_scores_are_in_order_of_rows():
    image, text = unit(6, 4, 2), unit(6, 3, 3)
    image[1:5], text[1:5] = image[0], text[0]
    image[0] = image[5] * 0.8 + image[1] * 0.5
    image[0] /= np.linalg.norm(image[0])
    text[0] = text[5] * 0.5 + text[1] * 0.8
    text[0] /= np.linalg.norm(text[0])
    found, scores = mine_hard_pairs(image, text, HardPairSettings(k=4, block=2))
    tied = found[0][np.isclose(scores[0], scores[0, 0])]
    assert len(tied) > 2 and (np.diff(tied) > 0).all()


def test_a_random_subset_is_searched_and_drawn_anew():
    image, text = pool(60)
    settings = HardPairSettings(k=60, candidates=20, redraw=30, seed=5, block=7)
    found, _ = mine_hard_pairs(image, text, settings)
    first, second = (set(part[part >= 0].tolist()) for part in (found[:30], found[30:]))
    assert len(first) <= 20 and len(second) <= 20 and first != second
    expected, _ = brute_force(image, text, 60, allowed=sorted(first))
    np.testing.assert_array_equal(found[:30], expected[:30])


def test_wrong_settings_and_arrays_are_refused():
    with pytest.raises(ValueError, match="hard_pairs.k must be 1 or more"):
        HardPairSettings(k=0)
    with pytest.raises(ValueError, match="duplicate must lie in"):
        HardPairSettings(duplicate=98)
    with pytest.raises(ValueError, match="3 images and 2 texts"):
        mine_hard_pairs(unit(3, 2, 0), unit(2, 2, 0), HardPairSettings())


def test_the_stage_writes_a_table_for_the_retrieved_set(finished: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(finished / "work", work)
    values = config(finished / "pool", work, hard_pairs={"k": 3, "duplicate": 1.0})
    facts = run(values, stages=["hard-pairs"], progress=False)["hard-pairs"]
    table = pq.read_table(work / "hard_pairs" / "hard_pairs.parquet")
    pairs = pq.read_table(work / "retrieved" / "pairs.parquet")
    stems = [name.removesuffix(".tar") for name in pairs["shard"].to_pylist()]
    keys = [f"{s}/{k}" for s, k in zip(stems, pairs["key"].to_pylist(), strict=True)]
    assert table["pair"].to_pylist() == keys
    image, text = (
        np.concatenate([np.load(p) for p in sorted((work / "embeddings" / d).glob("*.npy"))])[
            pairs["row"].to_numpy()
        ].astype(np.float32)
        for d in ("img_emb", "text_emb")
    )
    expected, _ = brute_force(image, text, 3, duplicate=1.0)
    assert [len(h) for h in table["hard"].to_pylist()] == (expected >= 0).sum(1).tolist()
    assert facts["hard_pairs"] == (expected >= 0).sum() > 0
    concept = pairs["concept"].to_pylist()  # an image's colour is its concept here
    hardest = [h[0] for h in table["hard"].to_pylist() if h]
    assert np.mean([concept[i] == concept[h] for i, h in enumerate(hardest)]) > 0.9
    assert Manifest.load(work / "hard_pairs").settings == {
        "k": 3,
        "duplicate": 1.0,
        "candidates": None,
        "redraw": 300_000,
        "seed": 0,
    }
    assert run(values, stages=["hard-pairs"], progress=False)["skipped"] == ["hard_pairs"]
    values["hard_pairs"]["k"] = 2
    assert run(values, stages=["hard-pairs"], progress=False)["skipped"] == []
    shutil.rmtree(work / "retrieved")
    with pytest.raises(ManifestError, match="manifest.json is missing"):
        run(values, stages=["hard-pairs"], progress=False)
