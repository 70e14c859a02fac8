"""tools/train.py on a tiny CLIP: two processes equal one, a killed run equals the unbroken one."""

import signal

import pytest
import torch

from react_mm.checkpoints import load_delta, load_state
from react_mm.engine.safe_loading import safe_torch_load
from tests.clip_run import write_config, write_data
from tests.test_tools.test_dist_train import train_with_two
from tests.test_tools.test_train import finish, losses, start, wait_for

MODELS = {
    "gated-image": dict(
        method="gated-image",
        method_options=dict(blocks=2),
        teacher_weight=3.0,
        loss=dict(type="react_mm.LabelAwareInfoNCE"),
        pair_losses=[dict(type="react_mm.HardNegativeMargin")],
    ),
    "full in chunks": dict(
        method="full",
        chunk_size=2,
        teacher_weight=3.0,
        pair_losses=[dict(type="react_mm.HardNegativeMargin")],
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_with_batch_n_equal_one_with_2n(tmp_path, data, name):
    """As tools/dist_train.sh launches them: mmengine's DDP over gloo, gradients averaged."""
    # SGD: a step of AdamW has the size lr whatever the gradient, and hides a wrong factor
    options = dict(iters=5, interval=5, optimizer="SGD", lr=0.05)
    two = write_config(tmp_path / "two.py", data, MODELS[name], **options)
    one = write_config(tmp_path / "one.py", data, MODELS[name], pairs=8, general=4, **options)
    train_with_two(two, tmp_path / "two")
    finish(start(one, tmp_path / "one"))
    ours, alone = losses(tmp_path / "two"), losses(tmp_path / "one")
    other = (tmp_path / "two" / "losses1.txt").read_text().splitlines()
    theirs = {line.split()[0]: line for line in other}
    values = []
    for step, line in alone.items():
        keys = ours[step].split()[2].split(",") + theirs[step].split()[2].split(",")
        assert sorted(keys) == sorted(line.split()[2].split(","))
        mean = (float(ours[step].split()[1]) + float(theirs[step].split()[1])) / 2
        values.append(float(line.split()[1]))
        assert mean == pytest.approx(values[-1], abs=1e-5)
    assert len(values) == 5 and len({round(v, 4) for v in values}) == 5
    first, second = (safe_torch_load(tmp_path / d / "iter_5.pth") for d in ("one", "two"))
    for key, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][key], value, atol=1e-5, rtol=1e-4, msg=key)
    base = load_state(data / "base.safetensors")
    trained = {k.removeprefix("image_tower."): v for k, v in first["state_dict"].items()}
    moved = [(v - base.get(k, 0)).abs().max() for k, v in trained.items() if k in base]
    moved += [v.abs().max() for k, v in trained.items() if "alpha" in k]
    assert max(moved) > 1e-3  # far more than what the two may differ by


@pytest.mark.slow
def test_killed_and_resumed_with_hard_pairs_and_average_equals_unbroken(tmp_path, data):
    config = write_config(tmp_path / "c.py", data, MODELS["gated-image"], iters=12, interval=4)
    finish(start(config, tmp_path / "whole"))
    broken = tmp_path / "broken"
    process = start(config, broken, REACT_MM_TEST_SLEEP="0.2")
    wait_for(lambda: (broken / "losses.txt").exists() and "5" in losses(broken), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (broken / "iter_4.pth").is_file() and not (broken / "customized.safetensors").exists()
    assert "iter_4.pth" in finish(start(config, broken, "--resume"))
    assert losses(broken) == losses(tmp_path / "whole")
    assert len(losses(broken)) == 12
    ours, theirs = (
        load_delta(d / "customized.safetensors")[0] for d in (broken, tmp_path / "whole")
    )
    for key, value in theirs.items():
        assert torch.equal(ours[key], value), key
    state = safe_torch_load(broken / "iter_12.pth")
    name = next(k for k in state["ema"]["average"] if k.endswith("c_fc.weight"))
    assert torch.equal(state["ema"]["average"][name], ours[name.removeprefix("image_tower.")])
    assert not torch.equal(state["state_dict"][name], state["ema"]["average"][name])
