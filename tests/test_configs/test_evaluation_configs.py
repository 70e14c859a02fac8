"""The configs of the evaluation stage: keys, and a pass over a fake folder on a tiny CLIP."""

import json
from pathlib import Path

import pytest
from mmengine.runner import Runner

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.classification_sets import class_lines, folder_lines, read_card, set_names
from react_mm.engine.configuration import ConfigKeyError, load_config
from react_mm.prompts import resolve_templates
from tests.pair_shards import png
from tests.tiny import clip_config, write_architecture, write_weights

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "zero_shot_classification"
CONFIGS = sorted(FOLDER.glob("*.py"))
METRIC = {"map11": "MultiLabelPrecision", "roc_auc": "BinaryAUC"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    arch = write_architecture(folder)
    return arch, write_weights(arch, folder / "tiny.safetensors")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_loads_with_known_keys_and_is_short(path):
    config = load_config(path)
    assert config.test_dataloader.dataset.type.startswith("react_mm.")
    assert config.get("test_evaluator") and config.get("test_cfg")
    assert len(path.read_text().splitlines()) <= 30
    with pytest.raises(ConfigKeyError, match="did you mean"):
        load_config(path, {"test_dataloader.dataset.pth": "x"})


@pytest.mark.parametrize("name", set_names())
def test_each_set_has_a_config_with_its_metric_and_templates(name):
    config = load_config(FOLDER / f"clip-vit-b16_{name}.py")
    card, evaluator = read_card(name), config.test_evaluator
    assert config.test_dataloader.dataset.name == name
    assert len(resolve_templates(config.model.templates)) == card.templates
    assert evaluator.type == f"react_mm.{METRIC.get(card.metric, 'ZeroShotAccuracy')}"
    assert (
        evaluator.get("headline", card.metric if card.metric in METRIC else "top1") == card.metric
    )
    assert config.test_dataloader.dataset.get("split", "test") in card.images


def fake_folder(folder, name):
    card = read_card(name)
    rows = []
    for number, written in enumerate(folder_lines(name) or class_lines(name)):
        rows.append(f"{number}.png\t{written.split(';')[0]}\n")
        (folder / f"{number}.png").write_bytes(png(number))
    split = "test" if "test" in card.images else "val"
    (folder / f"{split}.txt").write_text("".join(rows))


def run(path, base, folder, dataset):
    config = load_config(path)
    config.model = clip_config(*base, templates=config.model.templates)
    config.test_dataloader.update(batch_size=16, num_workers=0)
    config.test_dataloader.dataset.update(
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=32)], **dataset
    )
    config.work_dir = str(folder / "work")
    return Runner.from_cfg(config).test()


@pytest.mark.parametrize(
    "name,metric",
    [
        ("mnist", "top1"),
        ("oxford-iiit-pets", "mean_class"),
        ("voc-2007-classification", "map11"),
        ("hateful-memes", "roc_auc"),
        ("fer-2013", "top1"),  # names with synonyms
    ],
)
def test_a_fake_folder_goes_through_each_metric(name, metric, base, tmp_path):
    fake_folder(tmp_path, name)
    path = FOLDER / f"clip-vit-b16_{name}.py"
    metrics = run(path, base, tmp_path, dict(path=str(tmp_path)))
    assert metrics["zero_shot/images"] == read_card(name).classes
    assert 0 <= metrics[f"zero_shot/{metric}"] <= 1


def test_karpathys_layout_goes_through_recall(base, tmp_path):
    images = []
    for number in range(4):
        (tmp_path / "val2014").mkdir(exist_ok=True)
        (tmp_path / "val2014" / f"{number}.png").write_bytes(png(number))
        sentences = [{"raw": f"picture {number}, text {i}"} for i in range(6)]
        row = dict(filepath="val2014", filename=f"{number}.png", sentences=sentences)
        images.append(row | dict(split="test" if number else "train"))
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
    path = FOLDER / "clip-vit-b16_coco-karpathy.py"
    metrics = run(path, base, tmp_path, dict(path=str(tmp_path)))
    assert (metrics["retrieval/images"], metrics["retrieval/captions"]) == (3, 15)
    assert metrics["retrieval/t2i_R@5"] == 1
