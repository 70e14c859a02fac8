"""The methods of customization as configs of the drawn world, and the page that names them."""

from pathlib import Path

import torch
from mmengine.registry import MODELS, init_default_scope

import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import load_config
from react_mm.models.customization import METHODS

ROOT = Path(__file__).resolve().parents[2]


def test_lora_config_builds_with_its_closed_form_of_parameters():
    config = load_config(ROOT / "configs/customization/lora_toy-vit_toy_recommended.py")
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    visual = model.image_tower.visual
    width, layers = visual.conv1.out_channels, len(visual.transformer.resblocks)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == layers * 4 * 8 * 2 * width + 1  # q, k, v, out_proj; A and B; logit_scale
    assert model.text_frozen and not config.optim_wrapper.paramwise_cfg


def test_every_method_has_its_row_in_the_docs():
    page = (ROOT / "docs" / "checkpoints.md").read_text()
    for method in METHODS:
        assert method == "none" or f"| `{method}` |" in page
