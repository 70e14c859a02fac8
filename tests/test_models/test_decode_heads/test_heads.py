"""Both heads: what they start as, which classes they may take, what training changes."""

import pytest
import torch
import torch.nn.functional as F

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.models.decode_heads import CosineDecodeHead, CostAggregationHead

HEADS = {
    "cosine": lambda **o: CosineDecodeHead(12, channels=8, tap_channels=6, **o),
    "cost": lambda **o: CostAggregationHead(
        12, channels=8, guidance=4, heads=2, kernel=3, tap_channels=6, **o
    ),
}


def similarity_of(classes):
    """Cosine with fixed random class embeddings (C, 12)."""

    def similarity(x):
        return F.normalize(x, dim=-1) @ F.normalize(classes, dim=-1).T

    return similarity


def inputs(seed=0, batch=2):
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(batch, 12, 4, 6, generator=generator)
    return dense, (torch.randn(batch, 6, 4, 6, generator=generator),)


def shaken(head, seed=3):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return head.eval()


@pytest.mark.parametrize("kind", list(HEADS))
def test_starts_as_the_cosine_itself(kind):
    head = HEADS[kind](temperature=0.1).eval()
    dense, taps = inputs()
    similarity = similarity_of(torch.randn(5, 12))
    logits = head(dense, taps, similarity)
    cosine = similarity(dense.movedim(1, -1)).movedim(-1, 1)
    expected = F.interpolate(cosine, logits.shape[-2:], mode="bilinear") / 0.1
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    assert logits.shape == (2, 5, *((8, 12) if kind == "cost" else (4, 6)))


@pytest.mark.parametrize("kind", list(HEADS))
def test_classes_are_free(kind):
    """Order permutes, other classes may come and go, and a batch of two is two of one."""
    head, (dense, taps) = shaken(HEADS[kind]()), inputs()
    classes = torch.randn(5, 12)
    logits = head(dense, taps, similarity_of(classes))
    order = [3, 0, 4, 2, 1]
    turned = head(dense, taps, similarity_of(classes[order]))
    torch.testing.assert_close(turned, logits[:, order], rtol=0, atol=1e-4)
    assert head(dense, taps, similarity_of(torch.randn(9, 12))).shape[1] == 9
    alone = head(dense[:1], [tap[:1] for tap in taps], similarity_of(classes))
    torch.testing.assert_close(alone[0], logits[0], rtol=1e-4, atol=1e-4)
    fewer = head(dense, taps, similarity_of(classes[:4]))
    if kind == "cosine":
        torch.testing.assert_close(fewer, logits[:, :4])
    else:  # classes see each other
        assert (fewer - logits[:, :4]).abs().max() > 1e-3


def test_cosine_head_by_hand():
    head, (dense, taps) = shaken(CosineDecodeHead(12, channels=8, num_convs=0)), inputs()
    classes = torch.randn(3, 12)
    first, last = head.change[0], head.change[-1]
    unit = dense / dense.norm(dim=1, keepdim=True)
    hidden = F.gelu(
        torch.einsum("bchw,oc->bohw", unit, first.weight[..., 0, 0]) + first.bias[:, None, None]
    )
    moved = unit + torch.einsum("bchw,oc->bohw", hidden, last.weight[..., 0, 0])
    moved = moved + last.bias[:, None, None]
    cosine = torch.einsum(
        "bchw,nc->bnhw",
        moved / moved.norm(dim=1, keepdim=True),
        classes / classes.norm(dim=1, keepdim=True),
    )
    expected = cosine / head.log_temperature.exp()
    torch.testing.assert_close(head(dense, taps, similarity_of(classes)), expected)


def test_attention_among_classes_by_hand():
    head = shaken(CostAggregationHead(12, channels=4, heads=2, depth=1))
    layer, cells = head.layers[0], torch.randn(1, 2, 3, 5, 4)
    found = layer.among_classes(cells)
    q, k, v = layer.qkv(cells).chunk(3, -1)
    out = torch.zeros_like(cells)
    for row in range(2):
        for column in range(3):
            for part in (slice(0, 2), slice(2, 4)):
                qs, ks, vs = (t[0, row, column, :, part] for t in (q, k, v))
                qs, ks = F.elu(qs) + 1, F.elu(ks) + 1
                for one in range(5):
                    weights = torch.stack([qs[one] @ ks[other] for other in range(5)])
                    out[0, row, column, one, part] = (weights / weights.sum()) @ vs
    torch.testing.assert_close(found, layer.proj(out))


@pytest.mark.parametrize("kind", list(HEADS))
def test_training_learns_drawn_classes(kind):
    torch.manual_seed(0)
    head = HEADS[kind]()
    dense, taps = inputs()
    labels = torch.randint(0, 3, (2, 4, 6))
    labels[0, 0] = 255
    similarity = similarity_of(torch.randn(3, 12))
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)
    values = []
    for _ in range(30):
        logits = F.interpolate(head(dense, taps, similarity), (4, 6), mode="bilinear")
        losses = head.loss(logits, labels, 255)
        counted = F.cross_entropy(logits, labels, ignore_index=255)
        torch.testing.assert_close(losses["loss_ce"], counted)
        optimizer.zero_grad()
        losses["loss_ce"].backward()
        optimizer.step()
        values.append(losses["loss_ce"].item())
    assert values[-1] < 0.6 * values[0]


def test_wrong_shapes_are_refused():
    dense, taps = inputs()
    head = HEADS["cosine"]()
    with pytest.raises(ValueError, match="expected 6 channels on the grid"):
        head(dense, (taps[0][:, :5],), similarity_of(torch.randn(3, 12)))
    with pytest.raises(ValueError, match="kernel must be odd"):
        CostAggregationHead(12, kernel=4)
    with pytest.raises(ValueError, match="heads divide"):
        CostAggregationHead(12, channels=10, heads=4)


def test_checkpointed_activations_change_nothing():
    plain, saving = HEADS["cost"](), HEADS["cost"](with_cp=True)
    shaken(plain)
    saving.load_state_dict(plain.state_dict())
    (dense, taps), similarity = inputs(), similarity_of(torch.randn(3, 12))
    for head in (plain, saving):
        head(dense, taps, similarity).square().mean().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
