"""The loop on a tiny CLIP: what is reported, what is trained on, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from react_mm.engine.configuration import ConfigKeyError, load_config
from tests import tiny

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 220)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-60, 60, (32, 32, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    arch = tiny.write_architecture(folder)
    return folder, (arch, tiny.write_weights(arch, folder / "tiny.safetensors"))


def runner(world, tmp_path, **options):
    folder, base = world
    config = load_config(CONFIGS / "linear_probe" / "toy-vit_toy.py")
    config.model = tiny.clip_config(*base, templates="photo")
    config.test_dataloader.dataset = dict(
        type="react_mm.ZeroShotDataset",
        path=str(folder / "test"),
        classes=list(COLOURS),
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=32)],
    )
    config.test_cfg.update(
        train_dataset=dict(path=str(folder / "train")), cache=str(tmp_path / "cache"), **options
    )
    config.work_dir = str(tmp_path / "work")
    return Runner.from_cfg(config)


def test_probes_learn_what_zero_shot_does_not_know(world, tmp_path):
    run = runner(world, tmp_path, shots=(1, 5, "all"), seeds=(0, 1))
    metrics = run.test()
    assert metrics["zero_shot/images"] == 18
    assert metrics["probe/all/zero/top1"] == 1.0  # three colours are easy to tell apart
    assert metrics["probe/all/zero/top1"] > metrics["zero_shot/top1"]
    assert "probe/all/zero/top1_sd" not in metrics  # there is one draw of all images
    assert metrics["probe/5-shot/language/top1_sd"] >= 0
    loop = run.test_loop
    assert loop.headline == "probe/all/language/top1" and loop.headline in metrics
    kept = loop.outcomes["probe/5-shot/language/top1"]
    assert kept.value() == pytest.approx(metrics["probe/5-shot/language/top1"])
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    again = runner(world, tmp_path, shots=(1, 5, "all"), seeds=(0, 1)).test()
    assert again == metrics  # from the cache, and repeatable


def test_no_test_image_is_seen_before_the_head_is_chosen(world, tmp_path, monkeypatch):
    from react_mm.evaluation import linear_probe_loop

    trained, judged = [], []
    fit, judge = linear_probe_loop.fit_linear_probe, linear_probe_loop.accuracy
    monkeypatch.setattr(
        linear_probe_loop,
        "accuracy",
        lambda head, features, labels: judged.append(features) or judge(head, features, labels),
    )
    monkeypatch.setattr(
        linear_probe_loop,
        "fit_linear_probe",
        lambda features, *rest: trained.append(features) or fit(features, *rest),
    )
    run = runner(world, tmp_path, shots=("all",), seeds=(0,), strengths=(0.1, 1.0))
    run.test()
    test = np.load(min((tmp_path / "cache").glob("*.npy"), key=lambda p: len(np.load(p))))
    assert len(test) == 18 and len(trained) == len(judged) == 4
    assert all(len(features) == 6 for features in judged)
    for features in trained:
        assert len(features) == 30  # two of each class's twelve are held out
        assert all(torch.cdist(features, other).min() > 0 for other in judged)
        assert torch.cdist(features, torch.from_numpy(test)).min() > 0


def test_the_strongest_pull_is_zero_shot_itself(world, tmp_path):
    run = runner(world, tmp_path, shots=(1,), seeds=(0,), starts=("language",), strengths=(1e9,))
    metrics = run.test()
    # the bias is free: with one shot of each class it stays near zero, but it may break ties
    assert metrics["probe/1-shot/language/top1"] == pytest.approx(
        metrics["zero_shot/top1"], abs=0.4
    )


def test_bad_settings_are_refused(world, tmp_path):
    with pytest.raises(ValueError, match="starts are of"):
        runner(world, tmp_path, starts=("random",)).test()
    with pytest.raises(ValueError, match="numbers from 1 or 'all'"):
        runner(world, tmp_path, shots=(0,)).test()
    with pytest.raises(ConfigKeyError, match="did you mean.*seeds"):
        load_config(CONFIGS / "linear_probe" / "lite_grocery.py", {"test_cfg.seed": 1})


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "linear_probe").glob("*.py")), ids=lambda p: p.stem
)
def test_configs_load(path):
    config = load_config(path)
    assert config.test_cfg.type == "react_mm.LinearProbeLoop"
    assert len(path.read_text().splitlines()) <= 30
