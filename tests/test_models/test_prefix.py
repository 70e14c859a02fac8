"""The frozen part of CLIP's tower below the first gate: stored, or run without a graph."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.models.prefix import check_prefix, prefix_encoder, prefix_identity
from tests.pair_shards import write_shard
from tests.test_models.test_cached_gradient import HeldActivations
from tests.tiny import batch, build, open_gates, write_architecture

GATED = {"method": "gated-image", "method_options": {"blocks": 2}}


def gated(base, **options):
    torch.manual_seed(4)
    model = build(base, **GATED, **options).train()
    open_gates(model)
    return model


def test_tokens_stand_in_for_images_bitwise(base):
    tower, x = gated(base).image_tower, torch.randn(3, 3, 32, 32)
    tokens = tower.prefix(x)
    assert tower.prefix_depth() == 2
    assert tokens.shape == (3, 17, 64) and not tokens.requires_grad
    assert torch.equal(tower.encode_image(tokens), tower.encode_image(x))
    tower.set_gate_scale(0.0)  # the teacher sees the same tokens
    assert torch.equal(tower.encode_image(tokens), tower.encode_image(x))
    torch.testing.assert_close(tower.encode_image(tokens), build(base).image_tower.encode_image(x))


def test_only_the_weights_of_the_prefix_change_it_and_its_identity(base):
    model, x = gated(base), torch.randn(2, 3, 32, 32)
    tower = model.image_tower
    before, identity = tower.prefix(x), prefix_identity(model)
    inside = {v.data_ptr() for v in tower.prefix_state().values()}
    counts = [0, 0]
    for name, parameter in tower.named_parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter += 0.5 * torch.randn_like(parameter)
        matters = parameter.data_ptr() in inside
        counts[matters] += 1
        assert torch.equal(tower.prefix(x), before) != matters, name
        assert (prefix_identity(model) == identity) != matters, name
        with torch.no_grad():
            parameter.copy_(kept)
    assert min(counts) > 20


def test_a_trained_or_random_prefix_is_refused(base, tmp_path):
    for method in ("full", "locked-text"):
        with pytest.raises(ValueError, match=f"method '{method}' trains"):
            check_prefix(build(base, method=method))
    assert build(base, method="locked-image").image_tower.prefix_depth() == 4
    check_prefix(build(base, method="locked-image"))
    arch = write_architecture(tmp_path, "dropping", vision={"patch_dropout": 0.5})
    with pytest.raises(ValueError, match="drops patches at random"):
        build((arch, None), **GATED).image_tower.prefix(torch.randn(1, 3, 32, 32))


def gradients(model, inputs):
    data = batch(general=2)
    losses = model.loss(inputs, role=data["role"], caption=data["caption"])
    model.parse_losses(losses)[0].backward()
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def test_stored_tokens_train_what_images_train(base, tmp_path):
    """Exact up to the rounding of float16, which is shown apart."""
    model = gated(base, teacher_weight=2.0)
    write_shard(tmp_path / "p.tar", 6)
    dataset = CachedPairDataset(
        str(tmp_path / "store"),
        sources=[dict(path=str(tmp_path / "p.tar"))],
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=32)],
    )
    pixels = torch.stack([dataset[i]["inputs"] for i in range(6)])
    dataset.fill_prefix_cache(prefix_encoder(model), prefix_identity(model))
    stored = torch.stack([dataset[i]["inputs"] for i in range(6)])
    assert stored.dtype == torch.float16
    images = model.data_preprocessor({"inputs": pixels})["inputs"]
    tokens = model.image_tower.prefix(images)
    assert torch.equal(stored, tokens.half())
    from_store = gradients(model, model.data_preprocessor({"inputs": stored})["inputs"])
    rounded, exact = gated(base, teacher_weight=2.0), gated(base, teacher_weight=2.0)
    of_rounded, of_images = gradients(rounded, tokens.half().float()), gradients(exact, images)
    for name, gradient in of_images.items():
        assert torch.equal(from_store[name], of_rounded[name]), name
        scale = gradient.abs().max()
        torch.testing.assert_close(from_store[name], gradient, atol=float(scale) * 5e-2, rtol=0)


def test_no_graph_is_kept_and_no_gradient_computed_below_the_first_gate(base):
    model, x = gated(base), torch.randn(4, 3, 32, 32)
    tower = model.image_tower
    held = {}
    for name, run in {
        "prefix": tower.prefix,
        "gated": tower.encode_image,
        "full": build(base, method="full").train().image_tower.encode_image,
    }.items():
        record = HeldActivations(tower.parameters())
        with torch.autograd.graph.saved_tensors_hooks(record.pack, lambda t: t):
            out = run(x)
        held[name] = sum(record.bytes.values())
    assert held["prefix"] == 0
    assert 0 < held["gated"] < held["full"]
    tower.encode_image(x).sum().backward()
    got = {n for n, p in model.named_parameters() if p.grad is not None}
    assert got == {n for n in model.trainable_names if n != "logit_scale"}
    assert out.requires_grad


@pytest.mark.parametrize("method", ["gated-image", "full"])
def test_gradient_checkpointing_gives_equal_gradients_on_less_memory(base, method):
    results, held = {}, {}
    options = GATED if method == "gated-image" else {"method": method}
    for with_cp in (False, True):
        torch.manual_seed(4)
        model = build(base, **options).train()
        open_gates(model)
        model.image_tower.visual.set_grad_checkpointing(with_cp)
        record = HeldActivations(model.parameters())
        with torch.autograd.graph.saved_tensors_hooks(record.pack, lambda t: t):
            model.encode_image(torch.ones(4, 3, 32, 32))
        held[with_cp] = sum(record.bytes.values())
        results[with_cp] = gradients(model, torch.linspace(-1, 1, 6 * 3072).view(6, 3, 32, 32))
    for name, gradient in results[False].items():
        torch.testing.assert_close(results[True][name], gradient, atol=1e-6, rtol=1e-5, msg=name)
        assert gradient is not None and results[True][name].abs().sum() > 0, name
    assert held[True] < held[False] / 3


def test_the_encoder_normalises_as_the_model_does(base):
    model = gated(base)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    got = prefix_encoder(model)(images)
    mean = np.array(model.image_tower.preprocess["mean"]).reshape(3, 1, 1)
    std = np.array(model.image_tower.preprocess["std"]).reshape(3, 1, 1)
    normalised = torch.from_numpy((images / 255 - mean) / std).float()
    expected = model.image_tower.prefix(normalised)
    assert F.cosine_similarity(torch.from_numpy(got), expected, dim=-1).min() > 0.999999
