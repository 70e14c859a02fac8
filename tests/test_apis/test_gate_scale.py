"""The gate scale is chosen on the validation data of two configs and kept in the card."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from react_mm.apis.gate_scale import ValidationTask, choose_scale_of
from react_mm.checkpoints import read_card, save_delta
from react_mm.registry import DATASETS
from tests.tiny import build, open_gates, write_architecture, write_weights

CONFIG = """
default_scope = "mmengine"
custom_imports = dict(imports=["react_mm.registry"])
tower = dict(arch={arch!r}, checkpoint={checkpoint!r})
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
)
{part}_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(
        type="react_mm.{dataset}",
        path={path!r},
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=32)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
{part}_evaluator = dict(type="react_mm.{metric}")
{part}_cfg = dict(type="{loop}")
custom_hooks = [dict(type="react_mm.VocabularyHook")]
"""


@pytest.fixture
def base(tmp_path):
    arch = write_architecture(tmp_path)
    return arch, write_weights(arch, tmp_path / "base.safetensors")


@pytest.fixture
def tasks(base, tmp_path):
    """A domain of labelled folders and general photos with captions, for validation only."""
    generator, rows = np.random.default_rng(0), []
    for name in ("cat", "dog", "boat"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            rows.append({"image": f"{name}/{number}.png", "text": f"{name} number {number}"})
    (tmp_path / "images" / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def make(dataset, metric, part="val"):
        path = tmp_path / f"{dataset}_{part}.py"
        arch, checkpoint = base
        loop = {"val": "ValLoop", "test": "TestLoop"}[part]
        values = dict(arch=arch, checkpoint=checkpoint, part=part, dataset=dataset, loop=loop)
        path.write_text(CONFIG.format(path=str(tmp_path / "images"), metric=metric, **values))
        return path

    return make


def delta_of(base, tmp_path, **options):
    model = build(base, **options)
    open_gates(model)
    return save_delta(model, tmp_path / "run" / "customized.safetensors")


def test_the_validation_metric_is_that_of_the_scaled_model(base, tasks, tmp_path):
    options = {"method": "gated-image", "method_options": {"blocks": 2}}
    delta = delta_of(base, tmp_path, **options)
    config = tasks("ZeroShotDataset", "ZeroShotAccuracy")
    dataset = DATASETS.build(Config.fromfile(str(config)).val_dataloader.dataset)
    inputs = torch.stack([dataset[i]["inputs"] for i in range(len(dataset))])
    labels = torch.tensor(dataset.labels)
    found = {}
    for scale in (0.0, [1.0, 0.5], 1.0):
        task = ValidationTask(config, "zero_shot/top1", {})
        model = build(base, delta=str(delta), gate_scale=scale).eval()
        model.set_vocabulary(dataset.metainfo["classes"])
        results = model.val_step({"inputs": inputs})
        scores = torch.stack([result["scores"] for result in results])
        expected = (scores.argmax(-1) == labels).float().mean().item()
        found[str(scale)] = task.measure(delta, scale, tmp_path / "work")
        assert found[str(scale)] == pytest.approx(expected), scale


def test_the_choice_follows_the_rule_and_the_card_keeps_it(base, tmp_path, monkeypatch):
    options = {"method": "gated-image", "method_options": {"blocks": 2}}
    delta = delta_of(base, tmp_path, **options)

    def measure(self, delta, scale, work_dir):
        first, last = (scale, scale) if isinstance(scale, float) else scale
        if self.metric == "domain":
            return 0.2 * first + 0.6 * last
        return 0.8 - 0.1 * first

    monkeypatch.setattr(ValidationTask, "measure", measure)
    domain, general = (ValidationTask(tmp_path, name, {}) for name in ("domain", "general"))
    work = tmp_path / "work"
    found = choose_scale_of(delta, domain, general, work, (0.25, 0.5, 1.0), 0.03)
    assert [row["scale"] for row in found["curve"]] == [0.0, 0.25, 0.5, 1.0]
    card = read_card(delta)
    assert found["gate_scale"] == card["gate_scale"] == 0.25
    assert card["gate_scale_choice"]["allowed_drop"] == 0.03
    found = choose_scale_of(delta, domain, general, work, (0.25, 0.5, 1.0), 0.03, per_block=True)
    assert found["gate_scale"] == read_card(delta)["gate_scale"] == [0.25, 1.0]
    assert build(base, delta=str(delta)).image_tower.gate_scale == (0.25, 1.0)
    with pytest.raises(ValueError, match="allowed drop"):
        choose_scale_of(delta, domain, general, work, (1.0,), allowed_drop=-1.0)


def test_what_cannot_be_chosen_is_refused(base, tasks, tmp_path):
    options = {"method": "gated-image", "method_options": {"blocks": 1}}
    delta = delta_of(base, tmp_path, **options)
    right = ValidationTask(tasks("ZeroShotDataset", "ZeroShotAccuracy"), "zero_shot/top1", {})
    wrong = ValidationTask(right.config, "zero_shot/top_1", {})
    with pytest.raises(ValueError, match="did you mean zero_shot/top1"):
        wrong.measure(delta, 1.0, tmp_path / "work")
    test_only = tasks("ZeroShotDataset", "ZeroShotAccuracy", "test")
    with pytest.raises(ValueError, match="never on the test split"):
        ValidationTask(test_only, "zero_shot/top1", {}).measure(delta, 1.0, tmp_path / "work")
    full = save_delta(build(base, method="locked-text"), tmp_path / "full" / "c.safetensors")
    with pytest.raises(ValueError, match="locked-text, which has no gate scale"):
        choose_scale_of(full, right, right, tmp_path / "work")
