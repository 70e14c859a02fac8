"""The gate scale is chosen on the validation data of two configs and kept in the card."""

import json

import numpy as np
import pytest
from PIL import Image

from react_mm.apis.gate_scale import ValidationTask, choose_scale_of
from react_mm.checkpoints import read_card, save_delta
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


def test_the_choice_follows_the_rule_and_the_card_keeps_it(base, tasks, tmp_path):
    options = {"method": "gated-image", "method_options": {"blocks": 2}}
    delta = delta_of(base, tmp_path, **options)
    domain = ValidationTask(tasks("ZeroShotDataset", "ZeroShotAccuracy"), "zero_shot/top1", {})
    general = ValidationTask(tasks("RetrievalDataset", "RetrievalRecall"), "retrieval/t2i_R@5", {})
    found = choose_scale_of(delta, domain, general, tmp_path / "work", (0.5, 1.0), 1.0)
    curve = found["curve"]
    assert [row["scale"] for row in curve] == [0.0, 0.5, 1.0]
    assert len({row["other"] for row in curve} | {row["target"] for row in curve}) > 2
    best = max(curve, key=lambda row: (row["target"], -row["scale"]))
    assert found["gate_scale"] == best["scale"]
    card = read_card(delta)
    assert card["gate_scale"] == best["scale"] and card["gate_scale_choice"]["allowed_drop"] == 1.0
    build(base, delta=str(delta))  # the card is still whole

    found = choose_scale_of(delta, domain, general, tmp_path / "work", (1.0,), 1.0, per_block=True)
    blocks = [row for row in found["curve"] if isinstance(row["scale"], list)]
    assert all(len(row["scale"]) == 2 for row in blocks)
    assert read_card(delta)["gate_scale"] == found["gate_scale"]
    tower = build(base, delta=str(delta)).image_tower
    wanted = found["gate_scale"]
    assert tower.gate_scale == (tuple(wanted) if isinstance(wanted, list) else wanted)
    with pytest.raises(ValueError, match="allowed drop"):
        choose_scale_of(delta, domain, general, tmp_path / "work", (1.0,), allowed_drop=-1.0)


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
