"""A COCO-format folder of one's own, tested zero-shot with only paths, sizes, workers changed."""

from pathlib import Path

import pytest
import torch

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from tests.coco_files import random_boxes, write_coco
from tests.detection_data import reduced
from tests.tiny import write_architecture, write_weights

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "detection"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder, and a tiny tower."""
    (tmp_path / "annotations").mkdir()
    text = write_coco(tmp_path, random_boxes(images=5)).read_text()
    (tmp_path / "annotations" / "instances_val.json").write_text(text)
    (tmp_path / "val").symlink_to(tmp_path / "images")
    monkeypatch.setenv("MY_DETECTION", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    arch = write_architecture(tmp_path, "coco-format-tiny")
    return dict(arch=arch, checkpoint=write_weights(arch, tmp_path / "tiny.safetensors"))


def changes(tower, scale):
    """Widths by the tower, sizes and workers; nothing else."""
    towers = ("backbone", "class_embedder.text_tower")
    out = {f"model.{place}.{k}": v for place in towers for k, v in tower.items()}
    out |= {f"model.{place}.pretrained": None for place in towers}
    out |= {"test_dataloader.num_workers": 0, "test_dataloader.persistent_workers": False}
    return {**out, "work_dir": "work", f"test_dataloader.dataset.pipeline.{scale}.scale": (128, 96)}


def test_ground_truth_boxes(own):
    path = CONFIGS / "gt-box_clip-vit-b16_coco-format.py"
    figures = build_runner(load_config(path, changes(own, 2))).test()
    assert figures["gt_box/boxes"] == figures["gt_box/boxes_target"] == 20
    assert 0 <= figures["gt_box/accuracy"] <= 1


def test_a_trained_detector_goes_over_by_its_vocabulary_alone(own, tmp_path):
    """Trained on OV-COCO's base classes, tested on the folder by the options of the docs."""
    stem = "fvlm_clip-vit-b16_fpn_1x_ov-coco"
    options = {**reduced(stem, tmp_path / "coco"), "work_dir": "trained"}
    trained = build_runner(load_config(CONFIGS / f"{stem}.py", options))
    trained.train()
    folder = f"{tmp_path}/"
    documented = {
        "test_dataloader.dataset.data_root": folder,
        "test_dataloader.dataset.ann_file": "annotations/instances_val.json",
        "test_dataloader.dataset.data_prefix.img": "val/",
        "test_dataloader.dataset.novel": "all",
        "test_evaluator.ann_file": folder + "annotations/instances_val.json",
    }
    text = (CONFIGS.parents[1] / "docs" / "prepare_datasets.md").read_text()
    assert all(f"{key}=" in text for key in documented)
    options |= {**documented, "load_from": "trained/epoch_1.pth", "work_dir": "tested"}
    tested = build_runner(load_config(CONFIGS / f"{stem}.py", options))
    figures = tested.test()
    assert tested.model.vocabulary.names == ("cat", "wasp", "dog", "bee")
    weights = trained.model.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in tested.model.state_dict().items())
    assert figures["ov_coco/base_ap50"] == -1 and 0 <= figures["ov_coco/novel_ap50"] <= 1
