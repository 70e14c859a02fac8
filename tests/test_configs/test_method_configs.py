"""The methods of customization as configs of the drawn world, and the page that names them."""

from pathlib import Path

import torch
from mmengine.registry import MODELS, init_default_scope

import react_mm.registry  # noqa: F401
from react_mm.checkpoints import load_delta
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from react_mm.models.customization import METHODS
from react_mm.models.layers.lora import is_lora_key
from tests.pair_shards import write_shard

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


def test_lora_config_trains_and_its_delta_holds_the_updates_alone(tmp_path):
    write_shard(tmp_path / "p.tar", 6)
    options = {
        "train_dataloader.dataset.sources": [
            dict(path=str(tmp_path / "p.tar")),
            dict(path=str(tmp_path / "p.tar"), role="general"),
        ],
        "train_dataloader.batch_size": 4,
        "train_dataloader.num_workers": 0,
        "train_dataloader.persistent_workers": False,
        "train_dataloader.sampler.pairs_per_batch": 2,
        "train_dataloader.sampler.general_per_batch": 2,
        "train_cfg.max_iters": 3,
        "val_cfg": None,
        "val_dataloader": None,
        "val_evaluator": None,
    }
    config = load_config(ROOT / "configs/customization/lora_toy-vit_toy_recommended.py", options)
    config.work_dir, config.launcher = str(tmp_path / "run"), "none"
    config.experiment_name = f"lora-{tmp_path.name}"
    runner = build_runner(config)
    runner.train()
    delta = str(tmp_path / "run" / "customized.safetensors")
    tensors, card = load_delta(delta)
    assert card["method"] == "lora" and all(is_lora_key(k) for k in set(tensors) - {"logit_scale"})
    assert all(v.abs().sum() > 0 for k, v in tensors.items() if k.endswith(".B"))
    towers = {k: v for k, v in config.model.items() if k in ("type", "image_tower", "text_tower")}
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = MODELS.build(towers).eval().encode_image(x)
        closed = MODELS.build(dict(towers, delta=delta, gate_scale=0.0)).eval()
        assert torch.equal(closed.encode_image(x), plain)
        closed.set_gate_scale(1.0)
        trained = runner.model.eval().encode_image(x)
        torch.testing.assert_close(closed.encode_image(x), trained, atol=1e-5, rtol=1e-5)
        assert (trained - plain).abs().max() > 1e-3


def test_every_method_has_its_row_in_the_docs():
    page = (ROOT / "docs" / "checkpoints.md").read_text()
    for method in METHODS:
        assert method == "none" or f"| `{method}` |" in page
