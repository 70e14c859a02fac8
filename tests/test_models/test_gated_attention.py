"""The gated block against a rewrite in plain matrix products."""

import math

import pytest
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import nn

from react_mm.models.layers.gated_attention import GatedAttentionBlock, insert_gate, run_gate
from tests.tiny import open_gates


def layer_norm(x, weight, bias, eps=1e-5):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def reference(x, state, heads, activation, scale=1.0, mask=None, eps=1e-5):
    """facts A2: y = x + tanh(g) MHSA(LN x); z = y + tanh(g') MLP(LN y), head by head."""
    width = x.shape[-1]
    y = layer_norm(x, state["ln_1.weight"], state["ln_1.bias"], eps)
    q, k, v = (y @ state["attn.in_proj_weight"].T + state["attn.in_proj_bias"]).chunk(3, -1)
    outs = []
    for h in range(heads):
        part = slice(h * width // heads, (h + 1) * width // heads)
        logits = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width // heads)
        if mask is not None:
            logits = logits + mask
        outs.append(torch.softmax(logits, -1) @ v[..., part])
    y = torch.cat(outs, -1) @ state["attn.out_proj.weight"].T + state["attn.out_proj.bias"]
    x = x + scale * math.tanh(state["alpha_attn"].item()) * y
    y = layer_norm(x, state["ln_2.weight"], state["ln_2.bias"], eps)
    y = activation(y @ state["mlp.c_fc.weight"].T + state["mlp.c_fc.bias"])
    y = y @ state["mlp.c_proj.weight"].T + state["mlp.c_proj.bias"]
    return x + scale * math.tanh(state["alpha_dense"].item()) * y


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


@pytest.mark.parametrize(
    "width,heads,layer,activation",
    [(32, 2, nn.GELU, gelu), (48, 6, QuickGELU, quick_gelu), (96, 4, nn.GELU, gelu)],
)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_block_equals_rewrite_with_open_gates(width, heads, layer, activation, scale):
    torch.manual_seed(0)
    block = GatedAttentionBlock(width, heads, act_layer=layer)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    open_gates(block)
    block.gate_scale = scale
    x = torch.randn(2, 7, width)
    mask = torch.zeros(7, 7).masked_fill(torch.arange(7) > 4, float("-inf"))
    for m in (None, mask):
        expected = reference(x, block.state_dict(), heads, activation, scale, m)
        torch.testing.assert_close(block(x, attn_mask=m), expected, atol=1e-5, rtol=1e-5)


def test_closed_gates_change_no_bit_and_only_gates_have_a_gradient():
    block, x = GatedAttentionBlock(32, 2), torch.randn(2, 5, 32)
    out = block(x)
    assert torch.equal(out, x)
    out.pow(2).sum().backward()
    moved = {n for n, p in block.named_parameters() if p.grad.abs().sum() > 0}
    assert moved == {"alpha_attn", "alpha_dense"}


def test_gate_scale_zero_is_the_frozen_tower():
    block, x = GatedAttentionBlock(32, 2), torch.randn(2, 5, 32)
    open_gates(block)
    assert not torch.equal(block(x), x)
    block.gate_scale = 0.0
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("call", ["keyword", "positional"])
def test_hook_runs_before_open_clips_block_and_hands_on_the_mask(call):
    torch.manual_seed(0)
    block, gate = ResidualAttentionBlock(32, 2).eval(), GatedAttentionBlock(32, 2)
    open_gates(gate)
    names = set(block.state_dict())
    x = torch.randn(2, 5, 32)
    mask = torch.zeros(5, 5).masked_fill(torch.arange(5) > 2, float("-inf"))
    expected = block(gate(x, attn_mask=mask), attn_mask=mask)
    unmasked = block(gate(x), attn_mask=mask)
    insert_gate(block, gate)
    args = ((x,), {"attn_mask": mask}) if call == "keyword" else ((x, None, None, mask), {})
    got = block(*args[0], **args[1])
    torch.testing.assert_close(got, expected)
    assert not torch.allclose(got, unmasked), "the mask reaches the gate"
    assert names < set(block.state_dict()), "no frozen weight was renamed"
    torch.testing.assert_close(run_gate(block, x, mask), gate(x, attn_mask=mask))
    with pytest.raises(ValueError, match="already"):
        insert_gate(block, GatedAttentionBlock(32, 2))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="5 heads"):
        GatedAttentionBlock(32, 5)
