from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_world import HashEncoder

from react_mm.manifest import ManifestError
from react_mm.retrieval.index import import_faiss
from react_mm.retrieval.queries import encode_queries, make_queries
from react_mm.retrieval.search import background, search_modes, search_rows


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _flat(rows: np.ndarray):  # noqa: ANN202
    index = import_faiss().IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index


def _brute(rows: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([np.dot(row.astype(float), query.astype(float)) for row in rows])
    scores = scores.astype(np.float32)
    order = sorted(range(len(rows)), key=lambda row: (-scores[row], row))[:k]
    return np.array(order), scores[order]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = _unit(generator.standard_normal((700, 33))).astype(np.float16).astype(np.float32)
    return rows, _unit(generator.standard_normal((45, 33)))


def test_exact_search_is_brute_force(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, queries = data
    for k in (1, 10, 300):
        for query, (found, scores) in zip(
            queries, search_rows(_flat(rows), queries, k), strict=True
        ):
            want_rows, want_scores = _brute(rows, query, k)
            np.testing.assert_array_equal(found, want_rows)
            np.testing.assert_allclose(scores, want_scores, atol=1e-7)


@pytest.mark.usefixtures("small_blas_threshold")
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_results_do_not_depend_on_the_batch_size(
    data: tuple[np.ndarray, np.ndarray], kind: str
) -> None:
    rows, queries = data
    index = _flat(rows)
    if kind == "ivf":
        index = import_faiss().index_factory(33, "IVF12,Flat", 0)
        index.train(rows)
        index.add(rows)
        index.nprobe = 4
    whole = search_rows(index, queries, 20, batch_size=64)
    for size in (1, 7, 19, 20, 44):
        for (a, b), (c, d) in zip(whole, search_rows(index, queries, 20, size), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)


@pytest.fixture
def small_blas_threshold() -> Iterator[None]:
    """Blocks of a few queries already take faiss' BLAS path, single queries do not."""
    faiss = import_faiss()
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 100
    yield
    assert faiss.cvar.distance_compute_blas_threshold == 100
    faiss.cvar.distance_compute_blas_threshold = before


@pytest.mark.usefixtures("small_blas_threshold")
def test_the_lists_a_query_visits_do_not_depend_on_the_batch_size() -> None:
    """All centres tie for this query but for rounding, which differs between faiss' code paths."""
    faiss, generator = import_faiss(), np.random.default_rng(0)
    centre = generator.standard_normal(33)
    centres = _unit(np.stack([generator.permutation(centre) for _ in range(64)]))
    quantizer = faiss.IndexFlatIP(33)
    quantizer.add(centres)
    index = faiss.IndexIVFFlat(quantizer, 33, 64, faiss.METRIC_INNER_PRODUCT)
    index.add(centres)
    index.nprobe = 4
    queries = np.full((64, 33), 33**-0.5, np.float32)
    whole = search_rows(index, queries, 4, batch_size=64)
    alone = search_rows(index, queries[:1], 4, batch_size=1)
    for rows, _ in whole:
        np.testing.assert_array_equal(rows, alone[0][0])


def test_ties_come_in_the_order_of_rows_also_where_k_cuts_them(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    rows, queries = data
    many = np.concatenate([rows[:50], np.repeat(queries[:1], 200, axis=0), rows[50:60]])
    for k in (1, 5, 60, 199):
        found, scores = search_rows(_flat(many), queries[:1], k)[0]
        np.testing.assert_array_equal(found, np.arange(50, 50 + k))
        assert np.all(scores == scores[0])


class Careless:
    """An index that rounds its scores badly and keeps the last of equal rows, as a heap may.

    Args:
        rows: (N, D) float32.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.ntotal, self.d = rows, len(rows), rows.shape[1]

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        noise = np.random.default_rng(0).uniform(-4e-6, 4e-6, (len(queries), self.ntotal))
        scores = (queries @ self.rows.T + noise).astype(np.float32)
        order = np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :k]
        rows = self.ntotal - 1 - order
        return np.take_along_axis(scores, rows, 1), rows

    def reconstruct_batch(self, rows: np.ndarray) -> np.ndarray:
        return self.rows[rows]


def test_result_is_exact_although_the_index_rounds_and_breaks_ties_otherwise(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    rows, queries = data
    many = np.concatenate([rows[:50], np.repeat(queries[:1], 300, axis=0), rows[50:60]])
    for k in (1, 5, 150):
        for query, (found, _) in zip(
            queries[:5], search_rows(Careless(many), queries[:5], k), strict=True
        ):
            np.testing.assert_array_equal(found, _brute(many, query, k)[0])


def test_k_beyond_the_index_gives_what_there_is_and_never_minus_one(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    rows, queries = data
    found, _ = search_rows(_flat(rows[:5]), queries[:1], 50)[0]
    assert sorted(found.tolist()) == [0, 1, 2, 3, 4]
    index = import_faiss().index_factory(33, "IVF8,Flat", 0)
    index.train(rows)
    index.add(rows)
    index.nprobe = 1
    for found, scores in search_rows(index, queries, 5000):
        assert 0 < len(found) == len(scores) < len(rows)
        assert found.min() >= 0 and len(set(found.tolist())) == len(found)


def test_ivf_with_all_lists_is_exact(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, queries = data
    index = import_faiss().index_factory(33, "IVF8,Flat", 0)
    index.train(rows)
    index.add(rows)
    index.nprobe = 8
    for query, (found, _) in zip(queries, search_rows(index, queries, 10), strict=True):
        np.testing.assert_array_equal(found, _brute(rows, query, 10)[0])


def test_bad_queries_are_refused(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, queries = data
    index = _flat(rows)
    with pytest.raises(ManifestError, match="do not fit dimension 33"):
        search_rows(index, queries[:, :-1], 5)
    with pytest.raises(ManifestError, match="not L2-normalised"):
        search_rows(index, queries * 2, 5)
    broken = queries.copy()
    broken[3, 3] = np.nan
    with pytest.raises(ManifestError, match="not finite"):
        search_rows(index, broken, 5)
    with pytest.raises(ValueError, match="search.k"):
        search_rows(index, queries, 0)


def test_background_is_mean_and_spread_over_the_rows(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, queries = data
    scores = queries.astype(float) @ rows.T.astype(float)
    want = np.stack([scores.mean(axis=1), scores.std(axis=1)], axis=1)
    np.testing.assert_allclose(background(_flat(rows), queries), want, atol=1e-9)


def test_planted_pairs_are_found_by_t2i_and_t2t(finished: Path) -> None:
    encoder = HashEncoder()
    queries = make_queries(["yellow", "black"], ["a {}", "the {}"])
    vectors = encode_queries(queries, encoder)
    table = search_modes(
        finished / "work/index", queries, vectors, encoder.identity, k=10, progress=False
    )
    hits = table.to_pylist()
    assert len(hits) == 4 * 2 * 10
    names = ["red", "green", "blue", "yellow", "black", "white"]
    for hit in hits:
        assert names[hit["row"] % 6] == hit["concept"]
    for mode in ("T2I", "T2T"):
        for query in queries:
            mine = [h for h in hits if h["mode"] == mode and h["query_id"] == query.id]
            assert [h["rank"] for h in mine] == list(range(10))
            assert sorted((-h["score"], h["row"]) for h in mine) == [
                (-h["score"], h["row"]) for h in mine
            ]
            assert all(h["standard_score"] > 1 for h in mine)


def test_modes_search_their_own_keys(finished: Path) -> None:
    """Scores equal products with image rows for T2I and with text rows for T2T."""
    encoder = HashEncoder()
    queries = make_queries(["red"], ["a {}"])
    vector = encode_queries(queries, encoder)
    folder = finished / "work/embeddings"
    for mode, kind in (("T2I", "img_emb"), ("T2T", "text_emb")):
        rows = np.concatenate([np.load(p) for p in sorted((folder / kind).glob("*.npy"))])
        args = (finished / "work/index", queries, vector, encoder.identity, (mode,), 5)
        hits = search_modes(*args, progress=False)
        want_rows, want_scores = _brute(rows.astype(np.float32), vector[0], 5)
        np.testing.assert_array_equal(hits["row"].to_numpy(), want_rows)
        np.testing.assert_allclose(hits["score"].to_numpy(), want_scores, atol=1e-7)


def test_another_encoder_cannot_query(finished: Path) -> None:
    queries = make_queries(["red"], ["a {}"])
    encoder = HashEncoder("other")
    with pytest.raises(ManifestError, match="'fake'.*'other'"):
        vectors = encode_queries(queries, encoder)
        search_modes(finished / "work/index", queries, vectors, encoder.identity, progress=False)


@pytest.mark.parametrize("modes", [(), ("I2T",), ("T2I", "T2I")])
def test_unknown_modes_are_refused(finished: Path, modes: tuple[str, ...]) -> None:
    encoder = HashEncoder()
    queries = make_queries(["red"], ["a {}"])
    with pytest.raises(ValueError, match="search.modes"):
        search_modes(
            finished / "work/index",
            queries,
            encode_queries(queries, encoder),
            encoder.identity,
            modes,
        )
