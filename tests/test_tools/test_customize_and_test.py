"""The customization configs on a tiny CLIP of random weights: train, export, resume, test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.pair_shards import write_shard
from tests.tiny import write_architecture, write_weights

ROOT = Path(__file__).parents[2]
CHILD = """
_base_ = ['{root}/configs/{base}']
tower = dict(_delete_=True, arch='{arch}', checkpoint='{weights}')
model = dict(
    image_tower=dict(_delete_=True, type='react_mm.CLIPViT', arch='{arch}', checkpoint='{weights}'),
    text_tower=dict(_delete_=True, type='react_mm.CLIPText', arch='{arch}', checkpoint='{weights}'))
data = dict(
    path='{folder}/classes', classes=['cat; kitty', 'dog', 'sea'],
    groups=dict(target=['sea'], other='rest'),
    pipeline=[dict(type='react_mm.ResizeCenterCrop', size=32)])
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
"""
TRAIN = """
train_dataloader = dict(
    batch_size=8, sampler=dict(pairs_per_batch=5, general_per_batch=3),
    dataset=dict(
        sources=[dict(path='{folder}/p.tar'), dict(path='{folder}/g.tar', role='general')],
        pipeline=[dict(type='react_mm.RandomResizedCrop', size=32)]))
train_cfg = dict(max_iters=6, val_interval=6)
default_hooks = dict(checkpoint=dict(interval=3))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_shard(folder / "p.tar", 13, captions=9)
    write_shard(folder / "g.tar", 6, first=20)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "sea"):
        (folder / "classes" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "classes" / name / f"{i}.png")
    arch = write_architecture(folder, vision={"layers": 7})
    weights = write_weights(arch, folder / "tiny.safetensors")
    values = dict(root=ROOT, folder=folder, arch=arch, weights=weights)
    base = "customization/gated-image_toy-vit_toy_recommended.py"
    (folder / "train.py").write_text((CHILD + TRAIN).format(base=base, **values))
    base = "zero_shot_classification/toy-vit_toy.py"
    (folder / "test.py").write_text(CHILD.format(base=base, **values))
    return folder


def tool(name, *arguments):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_train_export_test(world):
    work_dir = world / "run"
    output = tool("train", world / "train.py", "--work-dir", work_dir)
    assert "zero_shot/target" in output
    delta = load_file(work_dir / "customized.safetensors")
    assert any("gated_attn_block" in name for name in delta)
    base = load_file(world / "tiny.safetensors")
    assert not set(delta) & set(base) - {"logit_scale"}  # only what was inserted is stored
    card = json.loads((work_dir / "customized.json").read_text())
    assert card["method"] == "gated-image"
    assert card["pairs"] == 13
    assert card["general"] == 6
    cache = list((work_dir / "text_cache").glob("*.npy"))
    assert len(cache) == 1
    table = np.load(cache[0])
    assert table.shape == (9, 32)  # distinct captions of the pairs alone
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1, atol=1e-5)
    # the trained checkpoint and base + delta are the same model, the base another
    plain = json.loads(metrics(world, "plain"))
    scaled = json.loads(
        metrics(
            world, "zero", f"model.delta={work_dir}/customized.safetensors", "model.gate_scale=0.0"
        )
    )
    assert plain["metrics"] == scaled["metrics"]
    assert plain["metrics"]["zero_shot/images"] == 9
    checkpoint = torch.load(work_dir / "iter_6.pth", weights_only=False)["state_dict"]
    for name, value in delta.items():
        stored = [v for k, v in checkpoint.items() if k.endswith(name)]
        assert any(torch.equal(value, v) for v in stored), name


def metrics(world, name, *options):
    arguments = ["--cfg-options", *options] if options else []
    tool(
        "test",
        world / "test.py",
        "--work-dir",
        world / f"test-{name}",
        "--out",
        world / f"{name}.json",
        *arguments,
    )
    return (world / f"{name}.json").read_text()
