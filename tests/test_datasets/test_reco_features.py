"""What RECO trains on: stored embeddings with those of their neighbours."""

import numpy as np
import pytest
import torch

from react_mm.datasets.reco_features import RecoFeatures
from react_mm.retrieval.stored_embeddings import StoredEmbeddings
from tests.reco_memory import write_memory
from tests.test_retrieval.fake_world import HashEncoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_memory(tmp_path_factory.mktemp("features"))


@pytest.mark.parametrize("search", ["uni", "cross"])
@pytest.mark.parametrize("fuse", ["uni", "cross"])
def test_items_are_rows_of_the_store_and_never_their_own_neighbours(folder, search, fuse):
    data = RecoFeatures(folder, k=3, search=search, fuse=fuse, duplicate_image=None)
    store = StoredEmbeddings(folder + "/embeddings")
    whole = {m: store.take(m, np.arange(40)) for m in ("image", "text")}
    items = data.__getitems__([(0, 5), (0, 17), 2])
    for number, item in zip((5, 17, 2), items, strict=True):
        for side, turned in (("image", "text"), ("text", "image")):
            assert np.array_equal(item[side].numpy(), whole[side][number])
            keys = whole[side if search == "uni" else turned].astype(float)
            cosine = keys @ whole[side][number].astype(float)
            cosine[number] = -2  # its own pair
            rows = np.argsort(-cosine)[:3]
            given = whole[turned if fuse == "cross" else side][rows]
            assert np.allclose(item[f"{side}_neighbours"].numpy(), given)
            assert np.allclose(item[f"{side}_scores"].numpy(), cosine[rows], atol=2e-3)
            assert item[f"{side}_there"].all()
    assert torch.equal(data[(3, 5)]["image"], items[0]["image"]) and len(data) == 40


def test_parts_divide_the_pairs_and_equal_captions_share_a_number(folder):
    parts = {p: RecoFeatures(folder, k=2, part=p, held_out=0.3) for p in ("train", "held-out")}
    rows = [set(part.rows) for part in parts.values()]
    assert rows[0] | rows[1] == set(range(40)) and not rows[0] & rows[1]
    assert 4 <= len(rows[1]) <= 20
    ids = RecoFeatures(folder, k=2).caption_ids
    assert len(set(ids)) == 40 and (ids >= 0).all()  # each caption has a number of its own
    few = RecoFeatures(folder, k=2, limit=7, seed=1)
    assert len(few) == 7 == few.metainfo["num_pairs"]
    assert {k: few[0][k] for k in ("key",)} == {"key": few.keys[few.rows[0]]}


def test_another_memory_and_exclusions(folder):
    part = dict(folder=folder, exclude=["pool-000000"])
    data = RecoFeatures(folder, memory=part, k=3, exclude=["pool-000001"], duplicate_image=None)
    assert list(data.rows) == list(range(20))
    assert data.memory.rows == 20 and (data._neighbours["image"].rows >= 20).all()
    card = data.metainfo["card"]
    assert card["memory"]["exclude"] == ["pool-000000"]
    assert card["encoder"] == HashEncoder().identity


def test_wrong_settings_are_refused_before_the_search(folder):
    for bad in (dict(part="test"), dict(held_out=1.0)):
        with pytest.raises(ValueError, match="RecoFeatures"):
            RecoFeatures(folder, **bad)
    with pytest.raises(ValueError, match="no pair is left of 40"):
        RecoFeatures(folder, k=2, exclude=["pool"])
