import pytest
import torch
from torch import nn

from react_mm.engine.autocast import AutocastOptimWrapper
from react_mm.registry import OPTIM_WRAPPERS


def test_forward_in_bfloat16_weights_in_float32():
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type="react_mm.AutocastOptimWrapper", optimizer=optimizer))
    x = torch.randn(3, 4)
    with wrapper.optim_context(model):
        out = model(x)
    assert out.dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")
    wrapper.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_gradient_accumulation_still_works():
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = AutocastOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2
    )
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(2):
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 4)).float().square().mean()
        wrapper.update_params(loss)
        assert torch.equal(model.weight, before) == (step == 0)


def test_float16_is_refused():
    with pytest.raises(ValueError, match="AmpOptimWrapper"):
        AutocastOptimWrapper(dtype="float16", optimizer=None)
