"""Fusions against torch's own layer and numpy; what holds for all of them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from react_mm.models.reco.fusion import MeanFusion, NeighbourFusion, neighbour_weights
from react_mm.registry import MODELS


def batch(count=5, k=4, dim=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query = F.normalize(torch.randn(count, dim, generator=generator), dim=-1)
    near = F.normalize(torch.randn(count, k, dim, generator=generator), dim=-1)
    scores = torch.rand(count, k, generator=generator)
    there = torch.ones(count, k, dtype=torch.bool)
    return query, near, scores, there


def trained(**options):
    """A fusion with weights that matter everywhere."""
    torch.manual_seed(1)
    fusion = NeighbourFusion(16, heads=2, **options).eval()
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return fusion


KINDS = {
    "layer": lambda: trained(),
    "paper": lambda: trained(residual=False),
    "bias": lambda: trained(confidence="bias"),
    "gate": lambda: trained(confidence="gate"),
    "mean": lambda: MeanFusion(0.4),
    "weighted": lambda: MeanFusion(0.4, temperature=0.1),
}
every = pytest.mark.parametrize("kind", KINDS)


@every
def test_without_neighbours_the_original_comes_back_exactly(kind):
    fusion = KINDS[kind]()
    query, near, scores, there = batch()
    alone = fusion(query, near[:, :0], scores[:, :0], there[:, :0])
    assert torch.equal(alone[0], query) and alone[1].shape == (5, 0)
    assert torch.equal(fusion(query, near, scores, torch.zeros_like(there))[0], query)
    there[2] = False
    some, weights = fusion(query, near, scores, there)
    assert torch.equal(some[2], query[2]) and not weights[2].any()
    assert not torch.allclose(some[[0, 1, 3, 4]], query[[0, 1, 3, 4]], atol=1e-3)


@every
def test_the_order_of_neighbours_is_no_matter(kind):
    fusion = KINDS[kind]()
    query, near, scores, there = batch()
    there[1, 2:] = False
    order = torch.tensor([2, 0, 3, 1])
    one, weights = fusion(query, near, scores, there)
    other, moved = fusion(query, near[:, order], scores[:, order], there[:, order])
    assert torch.allclose(one, other, atol=1e-6)
    assert torch.allclose(weights[:, order], moved, atol=1e-6)


@every
def test_an_empty_place_is_as_no_place_whatever_lies_in_it(kind):
    fusion = KINDS[kind]()
    query, near, scores, there = batch()
    there[:, 2:] = False
    near[:, 2:], scores[:, 2:] = 1e4, 50.0
    few, weights = fusion(query, near[:, :2], scores[:, :2], there[:, :2])
    padded, padded_weights = fusion(query, near, scores, there)
    assert torch.allclose(few, padded, atol=1e-6)
    assert torch.allclose(weights, padded_weights[:, :2], atol=1e-6)
    assert not padded_weights[:, 2:].any()


@every
def test_refined_embeddings_have_norm_one_and_a_batch_is_its_rows(kind):
    fusion = KINDS[kind]()
    query, near, scores, there = batch()
    refined, weights = fusion(query, near, scores, there)
    assert torch.allclose(refined.norm(dim=-1), torch.ones(5), atol=1e-5)
    assert (weights >= 0).all() and (weights.sum(1) < 1 + 1e-5).all()
    rows = [
        fusion(query[i : i + 1], near[i : i + 1], scores[i : i + 1], there[i : i + 1])[0]
        for i in range(5)
    ]
    assert torch.allclose(torch.cat(rows), refined, atol=1e-6)


@pytest.mark.parametrize("confidence", ["none", "bias", "gate"])
def test_is_torchs_encoder_layer_read_at_the_query(confidence):
    """The whole layer over all tokens, its mask made here, padding masked by torch itself."""
    fusion = trained(confidence=confidence, residual=False).train()  # no fused inference path
    query, near, scores, there = batch(seed=3)
    there[0, 1:], there[3, 3] = False, False
    tokens = torch.cat([query[:, None], near], 1) * 4.0  # sqrt(16)
    tokens = tokens + torch.stack([fusion.types[0], *[fusion.types[1]] * 4])
    bias = torch.zeros(5, 2, 5, 5)
    if confidence != "none":
        a, b = fusion.scale.item(), fusion.offset.item()
        own = a * scores + b if confidence == "bias" else -torch.log1p(torch.exp(-a * (scores - b)))
        bias[..., 1:] += own[:, None, None]
    bias = bias.masked_fill(~F.pad(there, (1, 0), value=True)[:, None, None], float("-inf"))
    whole = fusion.layer(tokens, src_mask=bias.reshape(10, 5, 5))[:, 0]
    refined, _ = fusion(query, near, scores, there)
    assert torch.allclose(refined, F.normalize(whole, dim=-1), atol=1e-5)


def test_residual_starts_at_the_original_and_moves_with_the_first_step():
    fusion = NeighbourFusion(16, heads=2, confidence="bias")
    query, near, scores, there = batch()
    start, _ = fusion(query, near, scores, there)
    assert torch.allclose(start, query, atol=1e-6)
    optimizer = torch.optim.SGD(fusion.parameters(), lr=1.0)
    for _ in range(2):
        target = F.normalize(near.mean(1), dim=-1)
        loss = -(fusion(query, near, scores, there)[0] * target).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fusion.parameters())
    moved = fusion(query, near, scores, there)[0]
    assert (moved * target).sum() > (start * target).sum() + 0.1


def test_bias_and_gate_listen_to_the_similarity():
    query, near, _, there = batch()
    scores = torch.tensor([[0.9, 0.1, 0.1, 0.1]]).repeat(5, 1)
    for confidence in ("bias", "gate"):
        fusion = NeighbourFusion(16, heads=2, confidence=confidence)
        equal = fusion(query, near, torch.full_like(scores, 0.5), there)[1][:, 0]
        with torch.no_grad():
            fusion.scale.fill_(20.0)
        assert (fusion(query, near, scores, there)[1][:, 0] > equal).all()


def test_mean_is_numpys():
    query, near, scores, there = batch(seed=5)
    there[1, 1:] = False
    refined, weights = MeanFusion(0.25, temperature=0.2)(query, near, scores, there)
    q, n, s, t = (x.numpy().astype(float) for x in (query, near, scores, there))
    share = np.exp(s / 0.2) * t
    share /= share.sum(1, keepdims=True)
    expected = 0.75 * q + 0.25 * (share[..., None] * n).sum(1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(refined.numpy(), expected, atol=1e-6)
    assert np.allclose(weights.numpy(), 0.25 * share, atol=1e-6)
    assert torch.allclose(neighbour_weights(scores, there, None)[0], torch.full((4,), 0.25))
    assert torch.equal(MeanFusion(0.0)(query, near, scores, there)[0], F.normalize(query, dim=-1))


def test_parameters_are_those_of_one_layer():
    paper = NeighbourFusion(512, heads=8, residual=False)
    layer = nn.TransformerEncoderLayer(512, 8, 2048)
    count = sum(p.numel() for p in layer.parameters())
    assert sum(p.numel() for p in paper.parameters()) == count + 2 * 512 == 3_153_408
    assert not list(MeanFusion().parameters())


def test_built_from_a_config_and_wrong_settings_refused():
    assert isinstance(MODELS.build(dict(type="react_mm.MeanFusion", share=0.1)), MeanFusion)
    with pytest.raises(ValueError, match="did you mean gate"):
        NeighbourFusion(16, confidence="gates")
    with pytest.raises(ValueError, match="3 heads do not divide dim=16"):
        NeighbourFusion(16, heads=3)
    for bad in (dict(share=1.5), dict(temperature=0.0)):
        with pytest.raises(ValueError, match="MeanFusion"):
            MeanFusion(**bad)
