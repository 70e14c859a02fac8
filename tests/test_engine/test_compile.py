"""mmengine's switch ``compile``: what it compiles, with our gates in forward hooks."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from react_mm.engine.configuration import ConfigKeyError, check_config
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from tests.tiny import CAPTIONS, batch, build, open_gates


def train(base, compiled):
    torch.manual_seed(4)
    options = {"method_options": {"blocks": 2}, "teacher_weight": 3.0}
    model = build(base, method="gated-image", **options)
    open_gates(model)
    with torch.no_grad():
        model.set_text_cache(F.normalize(model.encode_text(CAPTIONS), dim=-1))
    wrapper = CustomizationOptimConstructor({"optimizer": {"type": "SGD", "lr": 0.05}})(model)
    model.train()
    step = torch.compile(model.train_step, backend="eager") if compiled else model.train_step
    values = []
    for number in range(4):
        data = {**batch(number), "caption_id": torch.arange(6)}
        del data["caption"]
        values.append(step(data, wrapper)["loss"].item())
    return values


@pytest.mark.slow
def test_a_compiled_step_runs_the_gates_and_the_teacher_without_them(base):
    torch._dynamo.reset()
    expected = train(base, compiled=False)
    assert train(base, compiled=True) == pytest.approx(expected, abs=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert len(set(expected)) == 4


def test_options_of_the_switch_are_checked():
    check_config(Config(dict(compile=dict(backend="eager", dynamic=True))))
    check_config(Config(dict(compile=True, model=dict(type="react_mm.CLIP"))))
    with pytest.raises(ConfigKeyError, match="compile.backnd .*did you mean backend"):
        check_config(Config(dict(compile=dict(backnd="eager"))))
    with pytest.raises(ValueError, match="compile and model.chunk_size exclude each other"):
        check_config(Config(dict(compile=True, model=dict(type="react_mm.CLIP", chunk_size=8))))
