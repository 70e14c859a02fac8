"""Training on one CUDA device: mixed precision, chunks, DDP."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from tests.clip_run import write_config, write_data
from tests.test_models.conftest import base  # noqa: F401
from tests.test_tools.test_dist_train import free_port
from tests.test_tools.test_train import finish, losses, start
from tests.tiny import batch, build, open_gates

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]
DEVICE = "cuda"
WRAPPERS = {
    "float32": dict(type="OptimWrapper"),
    "float16": dict(type="AmpOptimWrapper", dtype="float16", loss_scale="dynamic"),
    "bfloat16": dict(type="AmpOptimWrapper", dtype="bfloat16"),
    "bfloat16, ours": dict(type="react_mm.AutocastOptimWrapper", device_type=DEVICE),
}


def run(base, wrapper, **options):  # noqa: F811
    torch.manual_seed(4)
    model = build(
        base, method="gated-image", method_options={"blocks": 2}, teacher_weight=3.0, **options
    )
    open_gates(model)
    model = model.to(DEVICE).train()
    start_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    config = {**wrapper, "optimizer": dict(type="AdamW", lr=1e-3)}
    optimizer = CustomizationOptimConstructor(config, {"gate_lr": 0.05})(model)
    values = [float(model.train_step(batch(i), optimizer)["loss"]) for i in range(6)]
    return model, start_state, values


@pytest.mark.parametrize("name", [n for n in WRAPPERS if n != "float32"])
def test_mixed_precision_follows_float32_and_moves_nothing_frozen(base, name):  # noqa: F811
    _, _, exact = run(base, WRAPPERS["float32"])
    model, start_state, values = run(base, WRAPPERS[name])
    assert values == pytest.approx(exact, rel=5e-2) and values != exact
    trained = set(model.trainable_names)
    for key, value in model.state_dict().items():
        assert value.dtype == start_state[key].dtype
        assert torch.equal(value, start_state[key]) == (key not in trained), key


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_chunks_follow_the_whole_batch(base, name):  # noqa: F811
    _, _, whole = run(base, WRAPPERS[name])
    _, _, chunked = run(base, WRAPPERS[name], chunk_size=4)
    assert chunked == pytest.approx(whole, rel=1e-3 if name == "float32" else 3e-2)


def test_the_device_gives_what_the_cpu_gives(base):  # noqa: F811
    model = build(base, method="gated-image", method_options={"blocks": 2}).eval()
    open_gates(model)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = model.encode_image(images)
        got = model.to(DEVICE).encode_image(images.to(DEVICE)).cpu()
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=2e-3)


def test_ddp_on_one_device_equals_no_ddp(tmp_path):
    data = write_data(tmp_path)
    model = dict(method="gated-image", method_options=dict(blocks=2), teacher_weight=3.0)
    config = write_config(tmp_path / "c.py", data, model, iters=4, interval=4)
    finish(start(config, tmp_path / "alone"))
    done = subprocess.run(
        ["bash", str(ROOT / "tools/dist_train.sh"), config, "1", "--work-dir", tmp_path / "ddp"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "PYTHON": sys.executable,
            "MASTER_PORT": free_port(),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    ours, alone = losses(tmp_path / "ddp"), losses(tmp_path / "alone")
    for step, line in alone.items():
        assert ours[step].split()[2] == line.split()[2]
        assert float(ours[step].split()[1]) == pytest.approx(float(line.split()[1]), rel=1e-3)
