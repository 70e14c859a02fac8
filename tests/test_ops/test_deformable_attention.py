"""Multi-scale deformable attention against its definition, by mmcv's function for the extension."""

import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from tests.test_ops.references import deformable_attention

SHAPES = [(5, 3), (2, 4)]


def case(dtype=torch.float64, queries=3):
    """Values, places (some outside) and weights; two images, two heads, two levels."""
    generator = torch.Generator().manual_seed(0)
    rows = sum(height * width for height, width in SHAPES)
    value = torch.randn(2, rows, 2, 3, generator=generator, dtype=dtype)
    places = torch.rand(2, queries, 2, 2, 2, 2, generator=generator, dtype=dtype) * 1.6 - 0.3
    weights = torch.rand(2, queries, 2, 2, 2, generator=generator, dtype=dtype)
    return [part.requires_grad_() for part in (value, places, weights)]


def extension(value, places, weights):
    """The path that mmcv takes on CUDA."""
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes = torch.tensor(SHAPES)
    starts = torch.tensor([0, SHAPES[0][0] * SHAPES[0][1]])
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, places, weights, 64)


def test_equals_definition_with_gradients():
    ours, theirs = case(), case()
    out = extension(*ours)
    expected = deformable_attention(theirs[0], SHAPES, *theirs[1:])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    pull = torch.randn_like(expected)
    (out * pull).sum().backward()
    (expected * pull).sum().backward()
    for mine, wanted in zip(ours, theirs, strict=True):
        assert wanted.grad.abs().max() > 0.1
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=0, atol=1e-9)


def test_gradcheck():
    assert torch.autograd.gradcheck(extension, case(queries=2))


def test_no_queries():
    parts = case(queries=0)
    out = extension(*parts)
    out.sum().backward()
    assert out.shape == (2, 0, 6) and not parts[0].grad.any()


@pytest.mark.parametrize("batch_first", [True, False])
def test_module_gives_the_same_by_both_paths(monkeypatch, batch_first):
    """mmcv's module by its CPU path, and sent through the extension as on CUDA."""
    from mmcv.ops import MultiScaleDeformableAttention, multi_scale_deform_attn

    python = multi_scale_deform_attn.multi_scale_deformable_attn_pytorch
    calls = []

    def by_extension(value, shapes, places, weights):
        if isinstance(shapes, list):  # the extension's own call
            return python(value, shapes, places, weights)
        calls.append(1)
        return extension(value, places, weights)

    module = MultiScaleDeformableAttention(
        8, num_heads=2, num_levels=2, num_points=2, dropout=0.0, batch_first=batch_first
    )
    torch.nn.init.normal_(module.sampling_offsets.weight)
    torch.nn.init.normal_(module.attention_weights.weight)
    query, value = torch.randn(2, 3, 8), torch.randn(2, 23, 8)
    if not batch_first:
        query, value = query.transpose(0, 1), value.transpose(0, 1)
    options = dict(
        reference_points=torch.rand(2, 3, 2, 2),
        spatial_shapes=torch.tensor(SHAPES),
        level_start_index=torch.tensor([0, 15]),
    )
    results = []
    for path in (python, by_extension):
        monkeypatch.setattr(multi_scale_deform_attn, "multi_scale_deformable_attn_pytorch", path)
        module.zero_grad()
        out = module(query, value=value, **options)
        out.square().sum().backward()
        results.append([out.detach(), *(p.grad.clone() for p in module.parameters())])
    assert calls == [1]
    for mine, wanted in zip(*results, strict=True):
        assert wanted.abs().sum() > 0
        torch.testing.assert_close(mine, wanted)
