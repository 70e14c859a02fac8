"""One recipe on both kinds of device, and activations recomputed under autocast."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from react_mm.engine import mixed_precision
from react_mm.engine.autocast import AutocastOptimWrapper
from react_mm.registry import OPTIM_WRAPPERS


def wrapper(model, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wanted = dict(type="MixedPrecisionOptimWrapper", optimizer=optimizer, **options)
    return OPTIM_WRAPPERS.build(wanted)


class Attention(nn.Module):
    def __init__(self, recompute):
        super().__init__()
        self.attn = nn.MultiheadAttention(16, 2, batch_first=True)
        self.recompute = recompute

    def attend(self, x):
        return self.attn(x, x, x, need_weights=False)[0]

    def forward(self, x):
        return checkpoint(self.attend, x, use_reentrant=False) if self.recompute else self.attend(x)


def test_bfloat16_on_the_cpu_also_where_activations_are_recomputed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    gradients, x = [], torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    for recompute in (False, True):
        torch.manual_seed(0)
        model = Attention(recompute)
        wrapped = wrapper(model, accumulative_counts=2)
        assert type(wrapped) is AutocastOptimWrapper
        with wrapped.optim_context(model):
            out = model(x)
        assert out.dtype == torch.bfloat16
        wrapped.update_params(out.float().square().sum())
        gradients.append([p.grad for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other) and one.abs().sum() > 0


def test_float16_with_loss_scaling_on_cuda(monkeypatch):
    seen = {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(mixed_precision, "AmpOptimWrapper", lambda **options: seen.update(options))
    wrapper(nn.Linear(2, 2))
    assert seen["dtype"] == "float16" and seen["loss_scale"] == "dynamic"
    assert seen["clip_grad"] is None and seen["accumulative_counts"] == 1
