"""The diagnosis: figures by hand, planted outliers seen, files written."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from react_mm.apis.dense_diagnosis import advice, diagnose, measure
from tests.dense_models import small_segmentor
from tests.dense_towers import gated_tower


def write_images(folder, count=2):
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for i in range(count):
        pixels = rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.jpg")
        label = (np.arange(64)[None] // 32 + np.zeros((40, 1))).astype(np.uint8)
        label[:4] = 255
        Image.fromarray(label).save(folder / "masks" / f"{i}.png")
    return folder / "images", folder / "masks"


def test_figures_by_hand(tmp_path):
    tower = gated_tower(tmp_path)
    x = torch.randn(1, 3, 48, 64)
    figures, norms = measure(tower, x, outlier_ratio=1.1)
    tokens = tower.before_block(x, 3)[0]  # what leaves block 2
    row, patches = figures[2], tokens[0, 1:]
    length = patches.norm(dim=1)
    assert row["norm_max"] == pytest.approx(float(length.max()), rel=1e-5)
    median = length.median()
    assert row["outlier_share"] == pytest.approx(float((length > 1.1 * median).float().mean()))
    unit = patches / length[:, None]
    pairs = [float(unit[i] @ unit[j]) for i in range(12) for j in range(12) if i != j]
    assert row["patch_similarity"] == pytest.approx(np.mean(pairs), abs=1e-5)
    own = F.normalize(tokens[0, 0], dim=0)
    assert row["class_similarity"] == pytest.approx(float((unit @ own).mean()), abs=1e-5)
    joint = F.normalize(tower.visual.ln_post(patches) @ tower.visual.proj, dim=1)
    pooled = F.normalize(tower.encode_image(x)[0], dim=0)
    assert row["pooled_similarity"] == pytest.approx(float((joint @ pooled).mean()), abs=1e-5)
    assert norms[2].shape == (3, 4)
    assert len(figures) == len(norms) == 4


def test_planted_outliers_are_seen_and_a_remedy_is_named(tmp_path):
    tower = gated_tower(tmp_path, blocks=0)
    block = tower.insertion_points()[1]

    def plant(_, __, y):
        y = y.clone()
        y[:, 5] *= 40
        return y

    block.register_forward_hook(plant)
    figures, norms = measure(tower, torch.randn(1, 3, 64, 64))
    assert figures[0]["outlier_share"] == 0
    assert figures[1]["outlier_share"] == pytest.approx(1 / 16)
    assert norms[1].argmax() == 4
    assert any("model.outlier_ratio=3" in line for line in advice(figures, 3.0))


def test_writes_its_files_and_measures_with_masks(tmp_path):
    images, masks = write_images(tmp_path)
    model = small_segmentor(tmp_path, classes=("cat", "dog"))
    report = diagnose(model, images, tmp_path / "out", ["cat", "dog"], masks, size=48)
    assert json.loads((tmp_path / "out" / "diagnosis.json").read_text()) == report
    for name in ("layers.png", "norms.png"):
        assert min(Image.open(tmp_path / "out" / name).size) > 100
    assert len(report["layers"]) == 4
    accuracy = report["layers"][-1]["accuracy"]
    assert set(accuracy) == {"vanilla", "maskclip", "sclip", "naclip", "clearclip"}
    assert all(0 <= value <= 1 for value in accuracy.values())
    assert any("model.layer=" in line for line in report["advice"])
    assert model.backbone.dense_mode == "maskclip"
    again = diagnose(model.backbone, images / "0.jpg", tmp_path / "more")
    assert "accuracy" not in again["layers"][0]
    assert again["images"] == 1


def test_what_is_lacking_is_named(tmp_path):
    images, masks = write_images(tmp_path, 1)
    model = small_segmentor(tmp_path)
    with pytest.raises(ValueError, match="masks need names"):
        diagnose(model, images, tmp_path / "out", masks=masks)
    with pytest.raises(ValueError, match="not a tower alone"):
        diagnose(model.backbone, images, tmp_path / "out", names=["cat"])
    (masks / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match="image 0.jpg has no label map"):
        diagnose(model, images, tmp_path / "out", ["cat", "dog"], masks)
