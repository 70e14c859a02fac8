"""Every config of the dense tasks builds unreduced, on the meta device."""

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
    for folder in ("detection", "segmentation")
    for path in (CONFIGS / folder).glob("*.py")
    if "_lite_" not in path.name  # those need the extra 'lite'; its towers have no meta build
)
TRAINED = {"fvlm_clip-vit-b16_fpn_1x_ov-coco": 28_000_000, "fvlm_toy-vit_fpn_toy": 1_000_000}


def build(config):
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        return MODELS.build(config.model)


@pytest.mark.parametrize("path", DENSE, ids=lambda p: p.stem)
def test_builds_on_the_meta_device(path):
    config = load_config(path)
    model = build(config)
    assert all(p.is_meta for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if path.stem in TRAINED:
        assert 0.5 * TRAINED[path.stem] < trainable < 1.5 * TRAINED[path.stem], trainable
    else:
        assert trainable == 0
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
    if hasattr(model, "roi_head"):
        assert model.neck.stages[0][1].in_channels in (
            model.backbone.tap_channels,
            model.backbone.tap_channels // 2,
        )
        classifier = model.roi_head.bbox_head.classifier
        assert classifier.background.shape == (model.backbone.embed_dim,)


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
