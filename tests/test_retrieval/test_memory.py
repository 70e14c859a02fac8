"""The memory against brute force on the arrays that lie on disk."""

import shutil

import numpy as np
import pytest

from react_mm.manifest import ManifestError
from react_mm.retrieval.memory import RetrievalMemory, image_ids, modality_of
from tests.reco_memory import write_memory
from tests.test_retrieval.fake_world import HashEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_memory(tmp_path_factory.mktemp("memory"))


@pytest.fixture(scope="module")
def arrays(folder):
    """Rows as numpy alone reads them."""
    from pathlib import Path

    return {
        m: np.concatenate([np.load(p) for p in sorted(Path(folder).glob(f"embeddings/{m[:3]}*/*"))])
        for m in ("img", "text_emb")
    }


def texts(*lines):
    return HashEncoder().encode_texts(list(lines))


@pytest.mark.parametrize("search", ["uni", "cross"])
@pytest.mark.parametrize("fuse", ["uni", "cross"])
@pytest.mark.parametrize("side", ["image", "text"])
def test_searches_one_modality_and_gives_the_other(folder, arrays, side, search, fuse):
    memory = RetrievalMemory(folder)
    queries = texts("red", "blue", "a white thing")
    found = memory.search(queries, 4, side, search, fuse)
    stored = {"image": arrays["img"].astype(float), "text": arrays["text_emb"].astype(float)}
    turned = {"image": "text", "text": "image"}
    keys = stored[side if search == "uni" else turned[side]]
    values = stored[side if fuse == "uni" else turned[side]]
    cosine = queries @ keys.T
    expected = np.argsort(-cosine, axis=1, kind="stable")[:, :4]
    assert np.array_equal(found.rows, expected)
    assert np.allclose(found.scores, np.take_along_axis(cosine, expected, 1), atol=1e-3)
    assert np.allclose(found.embeddings, values[expected], atol=1e-3)


def test_more_neighbours_than_pairs_gives_all_of_them(folder):
    found = RetrievalMemory(folder).search(texts("red"), 55, "text")
    assert sorted(found.rows[0, :40]) == list(range(40))
    assert (found.rows[0, 40:] == -1).all()
    assert not found.embeddings[0, 40:].any() and not found.scores[0, 40:].any()
    assert (np.linalg.norm(found.embeddings[0, :40], axis=1) > 0.9).all()


def test_no_neighbours_and_no_queries(folder):
    memory = RetrievalMemory(folder)
    assert memory.search(texts("red"), 0, "text").embeddings.shape == (1, 0, 16)
    assert memory.search(np.zeros((0, 16)), 3, "text").rows.shape == (0, 3)


def test_rows_that_may_not_be_neighbours_are_made_up_for_by_deeper_ones(folder):
    memory = RetrievalMemory(folder)
    plain = memory.search(texts("red"), 40, "text").rows[0]
    out = set(plain[:25])
    kept = memory.search(
        texts("red"), 5, "text", keep=lambda _, rows: ~np.isin(rows, list(out))
    ).rows[0]
    assert np.array_equal(kept, plain[25:30])
    shallow = RetrievalMemory(folder, deepest=20)
    none = shallow.search(texts("red"), 5, "text", keep=lambda _, rows: ~np.isin(rows, list(out)))
    assert (none.rows == -1).all()


def test_another_encoder_dimension_or_norm_is_refused(folder):
    memory = RetrievalMemory(folder)
    memory.check_encoder(HashEncoder().identity)
    with pytest.raises(ManifestError, match="they differ in architecture"):
        memory.check_encoder(HashEncoder("other").identity)
    with pytest.raises(ManifestError, match="dimension 16"):
        memory.search(np.eye(3), 2, "text")
    with pytest.raises(ManifestError, match="not L2-normalised"):
        memory.search(2 * texts("red"), 2, "text")


def test_wrong_words_and_missing_parts_say_so(folder, tmp_path):
    memory = RetrievalMemory(folder)
    with pytest.raises(ValueError, match="side is image or text"):
        memory.search(texts("red"), 2, "caption")
    with pytest.raises(ValueError, match="'both' is no way"):
        modality_of("image", "both")
    with pytest.raises(ValueError, match="k must be 0 or more"):
        memory.search(texts("red"), -1, "text")
    with pytest.raises(FileNotFoundError, match="tools/retrieve.py"):
        RetrievalMemory(tmp_path / "nothing")
    shutil.copytree(folder, tmp_path / "half")
    (tmp_path / "half" / "index" / "index.json").unlink()
    with pytest.raises(ManifestError, match="run the stage 'index'"):
        RetrievalMemory(tmp_path / "half")


def test_a_part_of_the_memory_can_be_left_out(folder):
    whole, part = RetrievalMemory(folder), RetrievalMemory(folder, exclude=["pool-000000"])
    assert (whole.rows, part.rows) == (40, 20)
    queries = texts("red", "green")
    found, rest = part.search(queries, 30, "text"), whole.search(queries, 40, "text").rows
    for number in range(2):
        expected = [row for row in rest[number] if row >= 20]
        assert list(found.rows[number, :20]) == expected and (found.rows[number, 20:] == -1).all()
    assert part.digest != whole.digest == RetrievalMemory(folder).digest
    for nothing_or_all in (["elsewhere"], ["pool"]):
        with pytest.raises(ValueError, match="of 40 pairs"):
            RetrievalMemory(folder, exclude=nothing_or_all)
    words = RetrievalMemory(folder, exclude_captions=["RED", "blue"])
    assert words.rows == 40 - 14 and words.digest not in (whole.digest, part.digest)
    assert not set(words.search(queries, 30, "text").rows[0]) & set(range(0, 40, 6))


def test_captions_and_image_ids(folder):
    memory = RetrievalMemory(folder)
    assert memory.captions(np.array([3, 0])) == ["a yellow thing number 3", "a red thing number 0"]
    assert len(set(image_ids(memory.store))) == 40
