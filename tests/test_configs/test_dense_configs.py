"""Every detection config builds unreduced, on the meta device; segmentation has its own test."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DENSE = sorted(
    path
    for path in (CONFIGS / "detection").glob("*.py")
    if "_lite_" not in path.name  # those need the extra 'lite'; its towers have no meta build
)
DETECTORS = ("atss", "fvit", "fvlm", "mask-rcnn")  # test_detector_configs counts these


def build(config):
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        return MODELS.build(config.model)


@pytest.mark.parametrize("path", DENSE, ids=lambda p: p.stem)
def test_builds_on_the_meta_device(path):
    config = load_config(path)
    model = build(config)
    assert all(p.is_meta for p in model.parameters())
    trains = any(p.requires_grad for p in model.parameters())
    assert trains == path.stem.startswith(DETECTORS)
    assert {"react_mm.VocabularyHook"} <= {hook["type"] for hook in config.custom_hooks}
    assert config.get("test_evaluator") and config.get("test_dataloader")


@pytest.mark.parametrize("path", DENSE, ids=lambda p: p.stem)
def test_widths_agree_and_statistics_are_the_towers(path):
    config = load_config(path)
    model = build(config)
    mean = model.data_preprocessor.mean.shape
    assert mean == (3, 1, 1)
    means = torch.tensor(config.model.data_preprocessor.mean) / 255
    deviations = torch.tensor(config.model.data_preprocessor.std) / 255
    torch.testing.assert_close(means, torch.tensor(model.backbone.preprocess["mean"]))
    torch.testing.assert_close(deviations, torch.tensor(model.backbone.preprocess["std"]))
    assert config.model.data_preprocessor.bgr_to_rgb
    if hasattr(model, "named_head"):
        if hasattr(model.neck, "stages"):
            channels = model.backbone.tap_channels
            assert model.neck.stages[0][1].in_channels in (channels, channels // 2)
        else:
            assert tuple(model.neck.in_channels) == model.backbone.tap_channels
        assert model.named_head.classifier.embed.out_features == model.backbone.embed_dim


@pytest.mark.parametrize("path", DENSE, ids=lambda p: p.stem)
def test_child_configs_are_short(path):
    assert len(path.read_text().splitlines()) <= 50
    assert re.fullmatch(r"[a-z0-9_.-]+", path.name)


def test_broken_key_is_refused_by_name():
    with pytest.raises(KeyError, match="dense_mod.*dense_mode"):
        load_config(
            CONFIGS / "segmentation" / "maskclip_toy-vit_toy.py",
            {"model.backbone.dense_mod": "sclip"},
        )
