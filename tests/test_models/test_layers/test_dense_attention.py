"""Every row of the table against a rewrite from the papers' formulas, gates open."""

import math

import pytest
import torch
import torch.nn.functional as F

from react_mm.models.layers.dense_attention import DENSE_MODES, gaussian_neighbourhood
from tests.dense_towers import ARCHITECTURES, gated_tower


def layer_norm(x, norm):
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def linear(x, weight, bias):
    return torch.einsum("...i,oi->...o", x, weight) + bias


def mlp(x, block):
    return linear(
        block.mlp.gelu(linear(x, block.mlp.c_fc.weight, block.mlp.c_fc.bias)),
        block.mlp.c_proj.weight,
        block.mlp.c_proj.bias,
    )


def attention(x, attn, weights_of):
    """One image (N, C), head by head; ``weights_of(q, k)`` gives (N, N)."""
    width, heads = x.shape[-1], attn.num_heads
    size = width // heads
    parts = []
    for head in range(heads):
        q, k, v = (
            linear(
                x,
                attn.in_proj_weight[i * width + head * size : i * width + (head + 1) * size],
                attn.in_proj_bias[i * width + head * size : i * width + (head + 1) * size],
            )
            for i in range(3)
        )
        parts.append(weights_of(q, k) @ v)
    return linear(torch.cat(parts, -1), attn.out_proj.weight, attn.out_proj.bias)


def softmax(logits):
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


def usual(q, k):
    return softmax(q @ k.T / math.sqrt(q.shape[-1]))


def scale_of(layer):
    return getattr(layer, "gamma", 1.0)


def gaussian(rows, columns):
    """exp(-d^2 / 2 std^2), by loops; nothing for the class token."""
    bias = torch.zeros(1 + rows * columns, 1 + rows * columns)
    for a in range(rows * columns):
        for b in range(rows * columns):
            squared = (a // columns - b // columns) ** 2 + (a % columns - b % columns) ** 2
            bias[1 + a, 1 + b] = math.exp(-squared / (2 * 5.0**2))
    return bias


def last_block(x, block, mode, rows, columns):
    """The last block of one image (N, C), each method from its own paper's formula."""
    normed = layer_norm(x, block.ln_1)
    if mode == "maskclip":
        weights = lambda q, k: torch.eye(len(q))  # noqa: E731
    elif mode == "sclip":
        weights = lambda q, k: usual(q, q) + usual(k, k)  # noqa: E731
    elif mode == "naclip":
        near = gaussian(rows, columns)
        weights = lambda q, k: softmax(k @ k.T / math.sqrt(k.shape[-1]) + near)  # noqa: E731
    elif mode == "clearclip":
        weights = lambda q, k: usual(q, q)  # noqa: E731
    else:
        weights = usual
    mixed = attention(normed, block.attn, weights) * scale_of(block.ls_1)
    if mode in ("naclip", "clearclip"):
        return mixed
    x = x + mixed
    return x + mlp(layer_norm(x, block.ln_2), block) * scale_of(block.ls_2)


def gate(x, block):
    if not hasattr(block, "gated_attn_block"):
        return x
    inner = block.gated_attn_block
    mixed = attention(layer_norm(x, inner.ln_1), inner.attn, usual)
    x = x + math.tanh(inner.alpha_attn.item()) * mixed
    return x + math.tanh(inner.alpha_dense.item()) * mlp(layer_norm(x, inner.ln_2), inner)


def reference_dense(tower, image, mode):
    """Dense embedding (D, h, w) of one image (3, H, W), by loops and plain formulas."""
    visual = tower.visual
    patch = visual.patch_size[0]
    image = F.pad(image, (0, -image.shape[2] % patch, 0, -image.shape[1] % patch))
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    kernel = visual.conv1.weight.flatten(1)
    cells = [
        kernel @ image[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].flatten()
        for r in range(rows)
        for c in range(columns)
    ]
    x = torch.stack([visual.class_embedding, *cells])
    native = visual.positional_embedding[1:].T.reshape(1, -1, *visual.grid_size)
    resized = F.interpolate(native, (rows, columns), mode="bicubic", antialias=True)
    x = x + torch.cat([visual.positional_embedding[:1], resized[0].flatten(1).T])
    x = visual.ln_pre(x)
    blocks = tower.insertion_points()
    for block in blocks[:-1]:
        x = last_block(gate(x, block), block, "vanilla", rows, columns)
    x = last_block(gate(x, blocks[-1]), blocks[-1], mode, rows, columns)
    dense = layer_norm(x[1:], visual.ln_post) @ visual.proj
    return dense.T.reshape(-1, rows, columns)


@pytest.mark.parametrize("mode", list(DENSE_MODES))
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_mode_equals_functional_rewrite(tmp_path, name, mode):
    tower = gated_tower(tmp_path, name, dense_mode=mode)
    sizes = [(64, 90), (41, 64)]
    x = torch.zeros(2, 3, 64, 96)
    singles = [torch.randn(3, h, w) for h, w in sizes]
    for row, single in zip(x, singles, strict=True):
        row[:, : single.shape[1], : single.shape[2]] = single
    dense = tower.dense_embedding(x, sizes)
    for ours, single in zip(dense, singles, strict=True):
        expected = reference_dense(tower, single, mode)
        ours = ours[:, : expected.shape[1], : expected.shape[2]]
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_modes_differ(tmp_path):
    x = torch.randn(1, 3, 64, 64)
    maps = [gated_tower(tmp_path, dense_mode=m).dense_embedding(x) for m in DENSE_MODES]
    for i, one in enumerate(maps):
        for other in maps[i + 1 :]:
            assert (one - other).abs().max() > 1e-2


def test_pooled_embedding_does_not_depend_on_the_mode(tmp_path):
    x = torch.randn(2, 3, 64, 64)
    vanilla, surgical = (
        gated_tower(tmp_path, dense_mode=mode).forward_all(x) for mode in ("vanilla", "maskclip")
    )
    assert torch.equal(vanilla["pooled"], surgical["pooled"])
    assert torch.equal(vanilla["taps"][0], surgical["taps"][0])


def test_gaussian_neighbourhood():
    near = gaussian_neighbourhood((3, 4), torch.zeros(1))
    torch.testing.assert_close(near, gaussian(3, 4))


@pytest.mark.parametrize("name", ["plain", "quickgelu"])
def test_local_token_is_a_class_token_that_sees_its_neighbourhood(tmp_path, name):
    """Each cell by itself: a tower run on all patches whose class token attends to few of them."""
    tower = gated_tower(tmp_path, name, dense_mode="local")
    stride = tower.stride
    image = torch.randn(1, 3, 4 * stride, 5 * stride - 3)
    out = tower.forward_all(image)
    for row, column in ((0, 0), (1, 2), (3, 4)):
        seen = [
            r * 5 + c + 1
            for r in range(4)
            for c in range(5)
            if abs(r - row) <= 1 and abs(c - column) <= 1
        ]
        mask = torch.zeros(21, 21)
        mask[0] = float("-inf")
        mask[0, [0, *seen]] = 0.0
        x, _, _ = tower._embed(image, None)
        # Patches must see the usual class token, not this one: two class tokens, one hidden.
        x = torch.cat([x[:, :1], x], 1)
        whole = torch.zeros(22, 22)
        whole[0] = torch.cat([mask[0, :1], torch.tensor([float("-inf")]), mask[0, 1:]])
        whole[1:, 0] = float("-inf")
        for block in tower.insertion_points():
            x = block(x, attn_mask=whole)
        expected = tower.visual.ln_post(x[:, 0]) @ tower.visual.proj
        torch.testing.assert_close(out["dense"][..., row, column], expected, rtol=0, atol=1e-5)


def test_local_tokens_change_nothing_else(tmp_path):
    x = torch.randn(2, 3, 50, 70)
    local, vanilla = (
        gated_tower(tmp_path, dense_mode=mode).forward_all(x, [(50, 70), (40, 33)])
        for mode in ("local", "vanilla")
    )
    torch.testing.assert_close(local["pooled"], vanilla["pooled"], rtol=0, atol=1e-5)
    torch.testing.assert_close(local["taps"][0], vanilla["taps"][0], rtol=0, atol=1e-5)
    assert (local["dense"] - vanilla["dense"]).abs().max() > 0.1


def test_local_token_of_an_average_pooled_tower_sees_its_neighbourhood(tmp_path):
    """Patches whose attention is limited to 5 x 5 cells; the class token sees all as ever."""
    tower = gated_tower(tmp_path, "unusual", dense_mode="local")
    stride = tower.stride
    image = torch.randn(1, 3, 6 * stride, 7 * stride - 3)
    x, (h, w), _ = tower._embed(image, None)
    plain = torch.zeros(1, 1 + h * w)
    near = torch.full((h * w, h * w), float("-inf"))
    for i in range(h * w):
        for j in range(h * w):
            if abs(i // w - j // w) <= 2 and abs(i % w - j % w) <= 2:
                near[i, j] = 0.0
    # Both kinds of patches: those that the class token sees, and the limited ones.
    blind = torch.full((1 + h * w, h * w), float("-inf"))
    usual = torch.cat([torch.cat([plain, plain.expand(h * w, -1)]), blind], 1)
    limited = torch.cat([torch.zeros(h * w, 1), blind[1:].expand(h * w, -1), near], 1)
    tokens = torch.cat([x, x[:, 1:]], 1)
    for block in tower.insertion_points():
        tokens = block(tokens, attn_mask=torch.cat([usual, limited]))
    expected = tower.visual.ln_post(tokens[:, 1 + h * w :]) @ tower.visual.proj
    got = tower.dense_embedding(image).flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
