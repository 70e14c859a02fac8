"""REACT's published recipes: unreduced on the meta device, and two steps each of a tiny CLIP."""

import json
import math
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmengine.registry import (
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    PARAM_SCHEDULERS,
    init_default_scope,
)
from open_clip.transformer import QuickGELU
from PIL import Image

import react_mm.registry  # noqa: F401
from react_mm.checkpoints import load_delta
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from react_mm.models.layers.gated_attention import gated_blocks
from tests.pair_shards import write_shard

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "customization"
# Part of the name: (architecture, tag, parameters of one gated block, K, mean and std of 0.5)
BASES = {
    "clip-vit-b32": ("ViT-B-32-quickgelu", "openai", 7_087_874, 6, False),
    "clip-vit-b16": ("ViT-B-16-quickgelu", "openai", 7_087_874, 6, False),
    "clip-vit-l14": ("ViT-L-14-quickgelu", "openai", 12_596_226, 6, False),
    "open-clip-vit-b32-laion400m": (
        "ViT-B-32-quickgelu",
        "laion400m_e32",
        7_087_874,
        6,
        False,
    ),
    "open-clip-vit-b32-laion2b": ("ViT-B-32", "laion2b_s34b_b79k", 7_087_874, 6, False),
    "open-clip-vit-l14": ("ViT-L-14", "laion2b_s32b_b82k", 12_596_226, 6, True),
    "open-clip-vit-bigg14": ("ViT-bigG-14", "laion2b_s39b_b160k", 33_248_386, 12, False),
}
MILLIONS = {7_087_874: 42.5, 12_596_226: 75.6, 33_248_386: 399.0}
RECIPES = [(method, base) for base in BASES for method in ("gated-image", "locked-text")]


def path_of(method, base):
    return FOLDER / f"{method}_{base}_imagenet10m_8xb512_32e.py"


def test_every_paper_config_is_tested():
    assert {path_of(*r) for r in RECIPES} == set(FOLDER.glob("*_imagenet10m_*.py"))


@pytest.mark.parametrize("recipe", RECIPES, ids="_".join)
def test_builds_unreduced_with_the_published_sizes(recipe):
    method, base = recipe
    arch, tag, block, count, half = BASES[base]
    config = load_config(path_of(*recipe))
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        model = MODELS.build(config.model)
        plain = open_clip.create_model(arch, load_weights=False, device="meta")
        groups = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type=config.optim_wrapper.constructor,
                optim_wrapper_cfg=dict(
                    type="OptimWrapper", optimizer=config.optim_wrapper.optimizer
                ),
            )
        )(model).optimizer.param_groups
    assert all(p.is_meta for p in model.parameters())
    image = sum(p.numel() for p in plain.visual.parameters())
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    number = sum(p.numel() for p in trained.values())
    assert "logit_scale" in trained
    if method == "gated-image":
        gates = gated_blocks(model.image_tower)
        assert [sum(p.numel() for p in g.parameters()) for g in gates] == [block] * count
        assert number == block * count + 1
        assert round((number - 1) / 1e6, 1) == MILLIONS[block]
        assert all(".gated_attn_block." in n for n in trained if n != "logit_scale")
        blocks = model.image_tower.insertion_points()
        assert [hasattr(b, "gated_attn_block") for b in blocks[-count - 1 :]] == [False] + [
            True
        ] * count
    else:
        assert number == image + 1
        assert all(n.startswith("image_tower.") for n in trained if n != "logit_scale")
    every = sum(p.numel() for p in model.parameters())
    inserted = block * count if method == "gated-image" else 0
    assert every == sum(p.numel() for p in plain.parameters()) + inserted
    for group in groups:
        assert group["betas"] == (0.9, 0.98) and group["eps"] == 1e-6
        assert group["lr"] == (5e-4 if method == "gated-image" else 5e-5)
        expected = 0.1 if group["name"] == "matrices" else 0.0
        assert group["weight_decay"] == expected
        assert all((p.ndim >= 2) == (expected > 0) for p in group["params"])
    assert sum(len(g["params"]) for g in groups) == len(trained)
    activation = model.image_tower.insertion_points()[-1].mlp.gelu
    assert isinstance(activation, QuickGELU) == arch.endswith("quickgelu")
    if method == "gated-image":
        assert type(gates[0].mlp.gelu) is type(activation)
    assert model.image_tower.visual.transformer.grad_checkpointing
    assert config.model.image_tower.pretrained == config.model.text_tower.pretrained == tag
    statistics = model.image_tower.preprocess["mean"], model.image_tower.preprocess["std"]
    assert (statistics == ((0.5,) * 3, (0.5,) * 3)) == half
    (augment,) = config.train_dataloader.dataset.pipeline
    assert augment.type == "react_mm.TimmAugment" and augment.size == 224
    assert ("mean" in augment) == half
    assert config.train_dataloader.batch_size == 512  # on each of 8 GPUs: 4,096
    assert config.train_cfg.max_iters == pytest.approx(32 * 8_530_639 / 4096, rel=1e-3)
    assert "clip_grad" not in config.optim_wrapper


@pytest.mark.parametrize("method", ["gated-image", "locked-text"])
def test_schedule_is_open_clips_cosine_at_every_step(method):
    config = load_config(path_of(method, "clip-vit-b16"))
    total, warmup = config.train_cfg.max_iters, 5000
    peak = config.optim_wrapper.optimizer.lr
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=peak)
    schedulers = []
    for item in config.param_scheduler:
        item = dict(item, optimizer=optimizer)
        if "end" not in item:
            item["end"] = total  # as mmengine fills it in from train_cfg
        schedulers.append(PARAM_SCHEDULERS.build(item))
    worst = 0.0
    for step in range(total):
        share = (step - warmup) / (total - warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        expected = peak * ((step + 1) / warmup if step < warmup else cosine)
        worst = max(worst, abs(optimizer.param_groups[0]["lr"] - expected) / peak)
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert worst < 1e-3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pairs, an evaluation folder and tiny architectures with as many blocks as K asks for."""
    folder = tmp_path_factory.mktemp("paper")
    write_shard(folder / "pairs.tar", 9)
    for i, name in enumerate(("n01440764", "n01443537")):
        (folder / "imagenet" / "val" / name).mkdir(parents=True)
        pixels = np.full((40, 36, 3), 40 * i, np.uint8)
        Image.fromarray(pixels).save(folder / "imagenet" / "val" / name / "0.png")
    for quick in (False, True):
        arch = {
            "embed_dim": 16,
            "quick_gelu": quick,
            "vision_cfg": {
                "image_size": 32,
                "layers": 12,
                "width": 32,
                "head_width": 16,
                "patch_size": 8,
                "mlp_ratio": 4.9231,
            },
            "text_cfg": {
                "context_length": 16,
                "vocab_size": 49408,
                "width": 16,
                "heads": 1,
                "layers": 1,
            },
        }
        (folder / f"tiny{'-quickgelu' * quick}.json").write_text(json.dumps(arch))
    return folder


QUICK = (("gated-image", "clip-vit-b32"), ("locked-text", "open-clip-vit-l14"))
RUNS = [r if r in QUICK else pytest.param(r, marks=pytest.mark.slow) for r in RECIPES]


@pytest.mark.parametrize("recipe", RUNS, ids="_".join)
def test_two_steps_with_only_paths_sizes_iterations_and_widths_changed(recipe, world, tmp_path):
    quick = BASES[recipe[1]][0].endswith("quickgelu")
    arch = str(world / f"tiny{'-quickgelu' * quick}.json")
    options = {
        **{f"model.{tower}.arch": arch for tower in ("image_tower", "text_tower")},
        **{f"model.{tower}.pretrained": None for tower in ("image_tower", "text_tower")},
        "retrieved": str(world / "pairs.tar"),
        "train_dataloader.batch_size": 4,
        "train_dataloader.num_workers": 1,
        "train_dataloader.dataset.pipeline.0.size": 32,
        "val_dataloader.dataset.path": str(world / "imagenet"),
        "val_dataloader.dataset.partial": True,  # two images instead of 50,000
        "val_dataloader.dataset.pipeline.0.size": 32,
        "val_dataloader.num_workers": 0,
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
    }
    config = load_config(path_of(*recipe), options)
    config.work_dir = str(tmp_path)
    config.experiment_name = f"{tmp_path.name}-{'_'.join(recipe)}"
    config.launcher = "none"
    runner = build_runner(config)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    changed = {k for k, v in runner.model.state_dict().items() if not torch.equal(v, before[k])}
    changed.discard("logit_scale")
    tensors, card = load_delta(tmp_path / "customized.safetensors")
    assert changed and card["method"] == recipe[0]
    assert card["iterations"] == 2 and all(torch.isfinite(v).all() for v in tensors.values())
    if recipe[0] == "gated-image":
        # At the first step only gates have a gradient; at the second all of the blocks.
        assert all(".gated_attn_block." in k for k in changed)
        ratio = next(v for k, v in tensors.items() if k.endswith("c_fc.weight")).shape
        assert tuple(ratio) == (128, 32), "MLP ratio 4 although the tower has 4.9231"
    else:
        assert all(k.startswith("image_tower.") for k in changed)
