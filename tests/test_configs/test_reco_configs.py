"""configs/reco: unreduced on the meta device; a training runs with paths and sizes alone."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import ConfigKeyError, load_config
from react_mm.registry import DATASETS, MODELS
from tests.reco_memory import write_memory

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "reco"
TRAINED = {"toy-vit_toy": 128, "lite_photos": 384, "clip-vit-b16_my-pool": 512}
TESTED = {p.stem: p for p in sorted(FOLDER.glob("*.py")) if p.stem[5:] not in TRAINED}


def layer_parameters(dim: int) -> int:
    """One encoder layer (MLP ratio 4), two types and the residual map, counted by hand."""
    attention = 4 * dim * dim + 4 * dim
    mlp = 8 * dim * dim + 5 * dim
    return attention + mlp + 4 * dim + 2 * dim + dim * dim + dim


@pytest.mark.parametrize("name", TRAINED)
def test_training_configs_build_one_layer_per_side(name):
    path = FOLDER / f"reco_{name}.py"
    assert len(path.read_text().splitlines()) <= 30
    config = load_config(path)
    with torch.device("meta"):
        model = MODELS.build(dict(config.model))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == 2 * layer_parameters(TRAINED[name])
    assert sum(p.numel() for p in model.parameters()) == trained
    for loader in (config.train_dataloader, config.val_dataloader):
        assert loader.dataset.pairs == config.memory
    moved = load_config(path, {"memory": "elsewhere"})
    assert moved.val_dataloader.dataset.pairs == "elsewhere" == moved.train_dataloader.dataset.pairs
    with pytest.raises(ConfigKeyError, match="did you mean"):
        load_config(path, {"train_dataloader.dataset.duplicate_images": 0.9})


@pytest.mark.parametrize("name", TESTED)
def test_test_configs_name_the_memory_of_the_training(name):
    config = load_config(TESTED[name])
    kind = "NeighbourVotes" if name.startswith("knn") else "RECO"
    assert config.model.type == f"react_mm.{kind}"
    world = "toy-vit_toy" if "toy" in name else "lite_photos"
    training = load_config(FOLDER / f"reco_{world}.py")
    assert config.model.memory.folder == training.memory
    assert config.model.base.type == "react_mm.CLIP" and config.get("test_evaluator")
    if kind == "RECO":
        assert config.model.weights == f"work_dirs/reco_{world}/reco.safetensors"
        assert config.model.fusion == training.model.fusion
        assert training.model.base is None and training.model.memory is None
        bare = {**config.model, "memory": None, "weights": None}
        if "toy" in name:  # its weights ship in the package
            model = MODELS.build(bare)
            assert model.image_tower.embed_dim == model.refiner.fusions["image"].dim == 128


def test_a_training_config_runs_with_paths_sizes_and_iterations_alone(tmp_path):
    options = {
        "memory": write_memory(tmp_path),
        "model.fusion.dim": 16,
        "model.fusion.heads": 2,
        "train_dataloader.batch_size": 8,
        "val_dataloader.dataset.held_out": 0.3,
        "train_dataloader.dataset.held_out": 0.3,
        "train_cfg.max_iters": 3,
        "train_cfg.val_interval": 3,
        "param_scheduler": None,
    }
    config = load_config(FOLDER / "reco_toy-vit_toy.py", options)
    config.work_dir = str(tmp_path / "run")
    runner = Runner.from_cfg(config)
    runner.train()
    held_out = len(DATASETS.build(config.val_dataloader.dataset))
    assert runner.message_hub.get_scalar("val/retrieval/images").current() == held_out
    assert (tmp_path / "run" / "reco.safetensors").is_file()
    trained = dict(config.model, weights=str(tmp_path / "run" / "reco.safetensors"))
    card = MODELS.build(trained).refiner.card
    assert card["encoder"]["architecture"] == "fake" and card["memory"]["rows"] == 40
    assert card["pairs"] == 40 - held_out and card["neighbours"]["image"] == 0.98
