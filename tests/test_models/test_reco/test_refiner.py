"""The refiner with a memory made of numpy alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.checkpoints import write_delta
from react_mm.manifest import ManifestError
from react_mm.models.reco.refiner import MemoryRefiner

FUSION = {"type": "react_mm.MeanFusion", "share": 0.5}
LAYER = {"type": "react_mm.NeighbourFusion", "dim": 8, "heads": 2, "residual": False}
ENCODER = {"architecture": "a", "weights_hash": "1"}


class FakeMemory:
    """Brute force over random pairs; notes what it is asked."""

    def __init__(self, seed=0, rows=6, encoder=ENCODER):
        generator = np.random.default_rng(seed)
        self.data = {m: generator.standard_normal((rows, 8)) for m in ("image", "text")}
        self.data = {
            m: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
            for m, v in self.data.items()
        }
        self.encoder, self.digest, self.asked = encoder, str(seed), []

    def __call__(self, embeddings, k, side, search, fuse):
        self.asked.append((len(embeddings), k, side, search, fuse))
        turned = {"image": "text", "text": "image"}
        keys = self.data[side if search == "uni" else turned[side]]
        values = self.data[side if fuse == "uni" else turned[side]]
        cosine = embeddings @ keys.T
        order = np.argsort(-cosine, 1)[:, :k]
        rows = np.full((len(embeddings), k), -1)
        rows[:, : order.shape[1]] = order
        there = rows >= 0
        scores = np.where(there, np.take_along_axis(cosine, np.maximum(rows, 0), 1), 0)
        return rows, scores.astype(np.float32), values[np.maximum(rows, 0)] * there[..., None]

    def check_encoder(self, identity):
        if identity != self.encoder:
            raise ManifestError("another encoder")

    def describe(self):
        return {"digest": self.digest}


def queries(count=5):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", ["image", "text"])
def test_mean_of_the_other_modalitys_neighbours(side):
    memory = FakeMemory()
    refined = MemoryRefiner(FUSION, memory, k=2).explain(queries(), side)
    q = F.normalize(queries(), dim=-1).numpy()
    other = memory.data["text" if side == "image" else "image"]
    rows = np.argsort(-(q @ memory.data[side].T), 1)[:, :2]
    expected = 0.5 * q + 0.5 * other[rows].mean(1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(refined.embeddings.numpy(), expected, atol=1e-5)
    assert np.array_equal(refined.rows, rows)
    assert torch.allclose(refined.weights, torch.full((5, 2), 0.25))


def test_k_changes_freely_and_batches_do_not_matter():
    memory = FakeMemory()
    refiner = MemoryRefiner(LAYER, memory, k=3)
    more = refiner.refine(queries(), "image", k=5)
    assert not torch.allclose(more, refiner.refine(queries(), "image"), atol=1e-4)
    assert torch.equal(refiner.refine(queries(), "image", k=0), F.normalize(queries(), dim=-1))
    beyond = refiner.refine(queries(), "image", k=9)  # six pairs are there
    assert torch.allclose(beyond, refiner.refine(queries(), "image", k=6), atol=1e-6)
    refiner.batch_size = 2
    assert torch.allclose(refiner.refine(queries(), "image", k=5), more, atol=1e-6)
    assert [a[0] for a in memory.asked[-3:]] == [2, 2, 1]
    assert refiner.refine(queries(0), "text").shape == (0, 8)


def test_swapping_the_memory_changes_the_result():
    refiner = MemoryRefiner(LAYER, FakeMemory(0), k=3, encoder=ENCODER)
    first, before = refiner.refine(queries(), "text"), refiner.describe()
    refiner.set_memory(FakeMemory(7))
    assert not torch.allclose(refiner.refine(queries(), "text"), first, atol=1e-2)
    assert refiner.describe()["memory"] != before["memory"]
    with pytest.raises(ManifestError, match="another encoder"):
        refiner.set_memory(FakeMemory(0, encoder={"architecture": "b"}))


def test_a_side_that_is_not_refined_searches_nothing():
    memory = FakeMemory()
    refiner = MemoryRefiner(FUSION, memory, k=2, sides=("text",))
    assert torch.equal(refiner.refine(queries(), "image"), F.normalize(queries(), dim=-1))
    assert not memory.asked
    assert not torch.allclose(refiner.refine(queries(), "text"), F.normalize(queries(), dim=-1))


def test_ways_are_handed_to_the_memory():
    memory = FakeMemory()
    MemoryRefiner(FUSION, memory, 2, search="cross", fuse="uni").refine(queries(1), "image")
    assert memory.asked == [(1, 2, "image", "cross", "uni")]
    with pytest.raises(RuntimeError, match="no memory"):
        MemoryRefiner(FUSION).refine(queries(), "image")
    for bad in (dict(sides=("images",)), dict(k=-1), dict(search="both")):
        with pytest.raises(ValueError, match="RECO"):
            MemoryRefiner(FUSION, **bad)


def save(refiner, path, **card):
    options = {"fusion": refiner.config, "search": refiner.search, "fuse": refiner.fuse}
    state = refiner.fusions.state_dict()
    write_delta(
        path, state, {"method": "reco", "method_options": options, "encoder": ENCODER, **card}
    )
    return str(path)


def test_weights_come_back_and_others_are_refused(tmp_path):
    refiner = MemoryRefiner(LAYER, FakeMemory(), k=3)
    path = save(refiner, tmp_path / "reco.safetensors")
    again = MemoryRefiner(LAYER, FakeMemory(), k=3, weights=path)
    assert torch.equal(again.refine(queries(), "image"), refiner.refine(queries(), "image"))
    again.check_encoder(ENCODER)
    with pytest.raises(ValueError, match="another encoder.*weights_hash"):
        again.check_encoder({**ENCODER, "weights_hash": "2"})
    with pytest.raises(ValueError, match="trained otherwise: search"):
        MemoryRefiner(LAYER, k=3, search="cross", weights=path)
    with pytest.raises(ValueError, match=r"trained otherwise: fusion\.heads: 2 -> 4"):
        MemoryRefiner({**LAYER, "heads": 4}, weights=path)
    other = save(refiner, tmp_path / "other.safetensors", method="gated-image")
    with pytest.raises(ValueError, match="customization by 'gated-image'"):
        MemoryRefiner(LAYER, weights=other)


def test_a_fusion_per_side(tmp_path):
    refiner = MemoryRefiner({"image": LAYER, "text": FUSION}, FakeMemory(), k=2)
    assert type(refiner.fusions["image"]).__name__ == "NeighbourFusion"
    assert type(refiner.fusions["text"]).__name__ == "MeanFusion"
