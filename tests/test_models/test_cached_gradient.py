"""Chunks of a batch give the gradient of the batch, on little memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from react_mm.models.cached_gradient import check_chunkable, encode_in_chunks
from tests.tiny import CAPTIONS, batch, build, open_gates

METHODS = {
    "full": {},
    "locked-image": {},
    "locked-text": {"teacher_weight": 3.0},
    "gated-image": {"method_options": {"blocks": 2}, "teacher_weight": 3.0},
}


def gradients(base, method, cached_text, data=None, **options):
    torch.manual_seed(4)  # of the gated blocks
    model = build(base, method=method, **METHODS[method], **options).train()
    open_gates(model)
    data = dict(data or batch(general=1))
    if cached_text:
        with torch.no_grad():
            model.set_text_cache(F.normalize(model.encode_text(CAPTIONS), dim=-1))
        data["caption_id"] = torch.arange(6)
        del data["caption"]
    losses = model.loss(**model.data_preprocessor(data, True))
    total, logged = model.parse_losses(losses)
    total.backward()
    return logged, {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("method", "cached_text"),
    [
        ("full", False),
        ("locked-image", False),
        ("locked-text", False),
        ("locked-text", True),
        ("gated-image", True),
        ("gated-image", False),
    ],
)
def test_chunks_give_the_plain_gradient(base, method, cached_text):
    plain_losses, plain = gradients(base, method, cached_text)
    losses, chunked = gradients(base, method, cached_text, chunk_size=4)  # 4 + 2: uneven
    assert losses.keys() == plain_losses.keys()
    for name, value in plain_losses.items():
        torch.testing.assert_close(losses[name], value, atol=1e-5, rtol=1e-5)
    assert chunked.keys() == plain.keys()
    assert sum(bool(g.abs().max() > 1e-6) for g in plain.values()) > 3
    for name, gradient in plain.items():
        torch.testing.assert_close(chunked[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_dropout_draws_the_same_masks_in_the_second_pass():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.drop = nn.Linear(4, 3), nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(self.linear(x))

    results = []
    for second_pass in (False, True):
        torch.manual_seed(0)
        model, x, target = Noisy(), torch.randn(7, 4), torch.randn(7, 3)
        torch.manual_seed(1)
        if second_pass:
            out = encode_in_chunks(model, x, 3)
        else:
            out = torch.cat([model(part) for part in x.split(3)])
        after = torch.get_rng_state()
        ((out - target) ** 2).sum().backward()
        assert torch.equal(torch.get_rng_state(), after)  # the backward pass draws nothing
        results.append((out.detach(), model.linear.weight.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert (results[0][0] == 0).any()


class HeldActivations:
    """Bytes of activations that autograd holds at the end of a forward pass."""

    def __init__(self, weights):
        self.own, self.bytes = {w.untyped_storage().data_ptr() for w in weights}, {}

    def pack(self, tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in self.own:
            self.bytes[place] = tensor.untyped_storage().nbytes()
        return tensor


def test_activations_of_the_forward_pass_are_not_held(base):
    model = build(base, method="full").train()
    images = torch.randn(12, 3, 32, 32)
    sizes = {}
    for chunk in (None, 3):
        held = HeldActivations(model.parameters())
        with torch.autograd.graph.saved_tensors_hooks(held.pack, lambda t: t):
            encode_in_chunks(model.encode_image, images, chunk)
        sizes[chunk] = sum(held.bytes.values())
    assert sizes[None] > 1_000_000
    assert sizes[3] <= 12 * 3 * 32 * 32 * 4 + 1000  # the images alone


def test_batch_statistics_are_refused(base):
    model = build(base, method="locked-text", chunk_size=2)
    model.image_tower.extra = nn.BatchNorm2d(3)
    with pytest.raises(ValueError, match="image_tower.extra normalises by the statistics"):
        model.train()
    model.image_tower.extra.eval()
    check_chunkable(model)


def test_without_gradient_chunks_are_a_loop():
    seen = []

    def encode(x):
        seen.append(len(x))
        return x * 2

    with torch.no_grad():
        assert torch.equal(encode_in_chunks(encode, torch.arange(5), 2), torch.arange(5) * 2)
    assert seen == [2, 2, 1]
    with pytest.raises(ValueError, match="chunk_size must be 1 or more"):
        encode_in_chunks(encode, torch.arange(5), 0)
