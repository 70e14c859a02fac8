"""Low-rank updates against torch's own attention on matrices merged by hand."""

import copy

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from react_mm.models.layers.dense_attention import DENSE_MODES
from react_mm.models.layers.lora import (
    TARGETS,
    insert_lora,
    is_lora_key,
    merge_lora,
    merge_lora_state,
    scaled_parts,
)
from tests.dense_towers import gated_tower

WIDTH, HEADS, RANK, ALPHA = 32, 4, 3, 6.0


def block(seed=0):
    torch.manual_seed(seed)
    plain = ResidualAttentionBlock(WIDTH, HEADS)
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.15)
    return plain.requires_grad_(False)


def with_lora(plain, targets=TARGETS, trained=False):
    """A copy with updates; ``trained`` gives B values that matter."""
    updated = copy.deepcopy(plain)
    insert_lora([updated], rank=RANK, alpha=ALPHA, targets=targets)
    if trained:
        generator = torch.Generator().manual_seed(5)
        for name, parameter in updated.named_parameters():
            if name.endswith(".B"):
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return updated


def merged_by_hand(updated, scale=1.0):
    """The definition, W + s (alpha / r) B A, on a block that knows nothing of updates."""
    plain, state = block(), updated.state_dict()
    with torch.no_grad():
        for key in [k for k in state if k.endswith(".A")]:
            delta = scale * ALPHA / RANK * state[key[:-1] + "B"] @ state[key]
            layer, _, part = key[: -len(".A")].rpartition(".lora")
            if part:
                row = "qkv".index(part[1:]) * WIDTH
                plain.get_submodule(layer).in_proj_weight[row : row + WIDTH] += delta
            else:
                plain.get_submodule(layer).weight += delta
    return plain


def masks(batch, tokens):
    floating = torch.zeros(tokens, tokens).masked_fill(torch.arange(tokens) > 4, float("-inf"))
    rows = floating.expand(batch * HEADS, -1, -1).clone()
    rows[:HEADS, :, 3] = float("-inf")
    return [None, floating, rows]


@pytest.mark.parametrize("mode", ["train", "eval", "no_grad"])
@pytest.mark.parametrize("mask", [0, 1, 2])
def test_start_is_the_frozen_block_bit_for_bit(mode, mask):
    plain = block()
    updated = with_lora(plain)
    plain.train(mode == "train")
    updated.train(mode == "train")
    # With a graph, so that torch takes no fused inference path for the plain block alone.
    x = torch.randn(3, 7, WIDTH, requires_grad=True)
    with torch.set_grad_enabled(mode != "no_grad"):
        got = updated(x, attn_mask=masks(3, 7)[mask])
        assert got.requires_grad == (mode != "no_grad")
        assert torch.equal(got, plain(x, attn_mask=masks(3, 7)[mask]))


@pytest.mark.parametrize(
    "targets", [TARGETS, ("q", "v"), ("out_proj",), ("c_fc",), ("k", "c_proj")]
)
@pytest.mark.parametrize("mask", [0, 1, 2])
def test_trained_updates_equal_merged_matrices(targets, mask):
    updated = with_lora(block(), targets, trained=True)
    x, mask = torch.randn(3, 7, WIDTH), masks(3, 7)[mask]
    expected = merged_by_hand(updated)(x, attn_mask=mask)
    assert (expected - block()(x, attn_mask=mask)).abs().max() > 0.1
    for training, grad in ((True, True), (False, True), (False, False)):
        with torch.set_grad_enabled(grad):
            got = updated.train(training)(x, attn_mask=mask)
        torch.testing.assert_close(got.detach(), expected, atol=1e-5, rtol=1e-5)
    state = merge_lora_state(
        {k: v for k, v in updated.state_dict().items() if not is_lora_key(k)},
        {k: v for k, v in updated.state_dict().items() if is_lora_key(k)},
        ALPHA / RANK,
    )
    merge_lora(updated)
    torch.testing.assert_close(updated(x, attn_mask=mask), expected, atol=1e-5, rtol=1e-5)
    assert {k: v.shape for k, v in updated.state_dict().items()} == {
        k: v.shape for k, v in block().state_dict().items()
    }
    assert [type(m) for m in updated.modules()] == [type(m) for m in block().modules()]
    assert all(torch.equal(v, state[k]) for k, v in updated.state_dict().items())


def test_frozen_names_stay_and_only_factors_have_gradients():
    plain, updated = block(), with_lora(block(), trained=True)
    state = updated.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in plain.state_dict().items())
    added = set(state) - set(plain.state_dict())
    assert added and all(map(is_lora_key, added)) and not any(map(is_lora_key, plain.state_dict()))
    assert {"attn.lora_q.A", "attn.out_proj.lora.B", "mlp.c_fc.lora.A"} <= added
    updated(torch.randn(2, 5, WIDTH)).square().sum().backward()
    with_grad = {n for n, p in updated.named_parameters() if p.grad is not None}
    assert with_grad == added
    assert all(p.grad.abs().sum() > 0 for n, p in updated.named_parameters() if n in added)


def test_gradients_equal_those_through_merged_matrices():
    updated, x = with_lora(block(), trained=True), torch.randn(2, 5, WIDTH)
    updated(x).square().sum().backward()
    factors = {n: p for n, p in updated.named_parameters() if is_lora_key(n)}
    leaves = {n: p.detach().clone().requires_grad_() for n, p in factors.items()}
    frozen = {k: v for k, v in updated.state_dict().items() if not is_lora_key(k)}
    merged = merge_lora_state(frozen, leaves, ALPHA / RANK)
    torch.func.functional_call(block(), merged, x).square().sum().backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(factors[name].grad, leaf.grad, atol=1e-4, rtol=1e-4)


def test_gate_scale_multiplies_the_update():
    updated, x = with_lora(block(), trained=True), torch.randn(2, 5, WIDTH)
    for part in scaled_parts(updated):
        part.gate_scale = 0.5
    expected = merged_by_hand(updated, scale=0.5)(x)
    torch.testing.assert_close(updated(x).detach(), expected, atol=1e-5, rtol=1e-5)
    for part in scaled_parts(updated):
        part.gate_scale = 0.0
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            assert torch.equal(updated(x), block()(x))


@pytest.mark.parametrize("mode", [*DENSE_MODES, "local"])
def test_dense_inference_sees_updates_of_the_last_block(tmp_path, mode):
    towers = [gated_tower(tmp_path, "plain", 0, dense_mode=mode) for _ in range(3)]
    for tower in towers[:2]:
        torch.manual_seed(3)
        insert_lora(tower.insertion_points()[-1:], rank=2, targets=TARGETS)
        for part in scaled_parts(tower):
            nn.init.normal_(part.B, std=0.3)
    merge_lora(towers[1])
    x = torch.randn(2, 3, 80, 64)
    got, merged, plain = (tower.forward_all(x) for tower in towers)
    for key in ("dense", "pooled"):
        torch.testing.assert_close(got[key], merged[key], atol=1e-5, rtol=1e-4)
        assert (got[key] - plain[key]).abs().max() > 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("qq",)}, "did you mean q"),
        ({"rank": 0}, "rank >= 1"),
        ({"targets": ()}, "rank >= 1 and a target"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        insert_lora([block()], **options)


def test_other_blocks_and_second_updates_are_refused():
    with pytest.raises(ValueError, match="type Linear has no packed"):
        insert_lora([nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="already"):
        insert_lora([with_lora(block())])
    with pytest.raises(ValueError, match=r"attn\.lora_q\.A belongs to attn\.in_proj_weight"):
        merge_lora_state({}, {"attn.lora_q.A": torch.ones(1, 2)}, 1.0)


def trained_tower(folder, **options):
    tower = gated_tower(folder, "quickgelu", 0, frozen=False, **options).requires_grad_(False)
    torch.manual_seed(3)
    insert_lora(tower.insertion_points(), rank=2, targets=TARGETS)
    for part in scaled_parts(tower):
        nn.init.normal_(part.B, std=0.3)
    return tower.train()


def gradients(tower, run):
    run(tower).square().sum().backward()
    return {n: p.grad for n, p in tower.named_parameters() if p.grad is not None}


def test_recomputed_activations_give_the_same_gradients(tmp_path):
    x = torch.randn(2, 3, 40, 40)
    plain, recomputed = (
        gradients(trained_tower(tmp_path, with_cp=cp), lambda t: t.encode_image(x))
        for cp in (False, True)
    )
    assert len(plain) == 3 * 6 * 2 and plain.keys() == recomputed.keys()
    for name, grad in plain.items():
        torch.testing.assert_close(recomputed[name], grad, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_last_block_through_dense_inference(tmp_path):
    x = torch.randn(2, 3, 40, 40)
    grads = gradients(
        trained_tower(tmp_path, dense_mode="maskclip"), lambda t: t.dense_embedding(x)
    )
    last = {n.split("resblocks.2.")[1] for n, g in grads.items() if "resblocks.2" in n and g.any()}
    # MaskCLIP's last block keeps each token's value: queries and keys of it play no part.
    assert {"attn.lora_v.A", "attn.lora_v.B", "attn.out_proj.lora.B", "mlp.c_fc.lora.A"} <= last
    assert not {"attn.lora_q.B", "attn.lora_k.B"} & last


def test_compiles_without_leaving_the_graph(tmp_path):
    tower, x = trained_tower(tmp_path), torch.randn(2, 3, 40, 40)
    compiled = torch.compile(tower.insertion_points()[1], backend="eager", fullgraph=True)
    tokens = torch.randn(2, 5, 32)
    expected = tower.insertion_points()[1](tokens)
    torch.testing.assert_close(compiled(tokens), expected, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(compiled(tokens), expected, atol=1e-5, rtol=1e-5)
    assert tower.encode_image(x).requires_grad
