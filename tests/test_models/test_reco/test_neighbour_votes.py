"""Votes of neighbours against numpy, and the classifier made of them."""

import numpy as np
import pytest
import torch

from react_mm.apis.encoder import Encoder
from react_mm.models.reco.neighbour_votes import NeighbourVotes, add_votes, neighbour_votes
from react_mm.registry import MODELS
from tests import tiny
from tests.reco_memory import write_memory


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("votes", ["soft", "nearest"])
@pytest.mark.parametrize("temperature", [0.1, None])
def test_votes_are_numpys(votes, temperature):
    generator = np.random.default_rng(0)
    similarity, scores = generator.random((3, 4, 5)), generator.random((3, 4))
    there = np.ones((3, 4), bool)
    there[1, 2:], there[2] = False, False
    found = neighbour_votes(
        *(torch.from_numpy(x) for x in (similarity, scores, there)), temperature, votes, 7.0
    ).numpy()
    for row in range(2):
        k = there[row].sum()
        weight = softmax(scores[row, :k] / temperature) if temperature else np.full(k, 1 / k)
        given = softmax(7.0 * similarity[row, :k])
        if votes == "nearest":
            given = np.eye(5)[similarity[row, :k].argmax(-1)]
        assert np.allclose(found[row], weight @ given)
    assert not found[2].any()


@pytest.mark.parametrize("kind", ["arithmetic", "geometric"])
def test_added_to_zero_shot_scores(kind):
    zero = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    votes = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(add_votes(zero, votes, 0.0, kind), zero, atol=1e-6)
    full = add_votes(zero, votes, 1.0, kind)
    assert torch.allclose(full[0], votes[0], atol=1e-6) and torch.equal(full[1], zero[1])
    half = add_votes(zero, votes, 0.5, kind)
    assert half[0].argmax() == 1 and torch.allclose(half.sum(1), torch.ones(2))
    if kind == "arithmetic":
        assert torch.allclose(half[0], torch.tensor([0.35, 0.6, 0.05]), atol=1e-6)


def test_classifies_with_its_memory(tmp_path):
    arch = tiny.write_architecture(tmp_path)
    weights = tiny.write_weights(arch, tmp_path / "tiny.safetensors")
    folder = write_memory(tmp_path, Encoder(tiny.build((arch, weights))), shards=1)
    config = dict(
        type="react_mm.NeighbourVotes",
        base=tiny.clip_config(arch, weights),
        memory=dict(type="react_mm.PairMemory", folder=folder),
        k=5,
    )
    model = MODELS.build(config).eval()
    model.set_vocabulary(["red", "green", "blue"])
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 2])
    results = model.predict(images, label=label)
    plain = model.base
    plain.set_vocabulary(["red", "green", "blue"])
    base = plain.predict(images, label=label)
    for own, other in zip(results, base, strict=True):
        assert torch.equal(own["image_embedding"], other["image_embedding"])
        assert own["label"] == other["label"]
    image = np.stack([r["image_embedding"].numpy() for r in base])
    rows, scores, texts = model.memory(image, 5, "image")
    classes = plain.class_embeddings.numpy().astype(float)
    weight = softmax(scores / 0.05)[..., None]
    votes = (weight * softmax(20 * texts @ classes.T)).sum(1)
    zero = softmax(np.stack([r["scores"].numpy() for r in base]).astype(float))
    expected = np.log((zero + votes) / 2)
    assert np.allclose(np.stack([r["scores"].numpy() for r in results]), expected, atol=1e-4)
    assert model.identity() == plain.identity()
    alone = NeighbourVotes(plain, folder and model.memory, alpha=0.0)
    alone.set_vocabulary(["red", "green", "blue"])
    order = [r["scores"].argsort().tolist() for r in alone.predict(images)]
    assert order == [r["scores"].argsort().tolist() for r in base]


def test_wrong_settings_are_refused(tmp_path):
    for bad, message in (
        (dict(votes="soften"), "votes is one of"),
        (dict(kind="sum"), "kind is one of"),
        (dict(alpha=2.0), "alpha=2.0"),
        (dict(temperature=0.0), "temperature"),
    ):
        with pytest.raises(ValueError, match=message):
            NeighbourVotes(None, **bad)
