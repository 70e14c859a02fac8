"""The data bases of detection: only paths change, and drawn files in COCO and LVIS format run."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from mmdet.registry import DATASETS, METRICS
from mmengine.registry import init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.datasets.base_novel import OV_COCO_BASE, OV_COCO_NOVEL
from react_mm.engine.configuration import ConfigKeyError, load_config
from tests.coco_files import coco, random_boxes, write_coco
from tests.lvis_files import write_lvis

ROOT = Path(__file__).resolve().parents[2]
BASES = ROOT / "configs" / "_base_" / "datasets"
NAMES = (
    "ov-coco_detection",
    "ov-coco_ignore-novel_detection",
    "ov-lvis_detection",
    "coco-format_detection",
    "coco-format_zero-shot",
)


@pytest.fixture(autouse=True)
def modules():
    """What a model's base imports by `custom_imports`."""
    import react_mm.datasets.detection
    import react_mm.datasets.lvis_detection
    import react_mm.evaluation.ov_coco
    import react_mm.evaluation.ov_lvis  # noqa: F401

    init_default_scope("mmdet")


def read(tmp_path, name, **options):
    """The base as a config of its own, with its paths moved to a drawn folder."""
    path = tmp_path / "child.py"
    path.write_text(f"_base_ = [{str(BASES / (name + '.py'))!r}]\ndefault_scope = 'mmdet'\n")
    return load_config(path, options)


def convert(monkeypatch, source, out, *arguments):
    tool = ROOT / "tools" / "convert_ov_dataset.py"
    options = [str(tool), str(source), "--out", str(out), *arguments]
    monkeypatch.setattr(sys, "argv", options)
    runpy.run_path(str(tool), run_name="__main__")


def first(config, loader):
    """The data set, and its first image after the pipeline."""
    data = DATASETS.build(config[loader].dataset)
    return data, data[0]["data_samples"]


@pytest.fixture
def all_names(tmp_path):
    """Drawn images in the layout of COCO 2017, with the 65 classes of OV-COCO and one more."""
    annotation = coco(random_boxes(images=6))
    renamed = {"cat": "cat", "bee": "dog", "dog": "person", "wasp": "hair drier"}
    for category in annotation["categories"]:
        category["name"] = renamed[category["name"]]
    rest = [name for name in (*OV_COCO_BASE, *OV_COCO_NOVEL) if name not in renamed.values()]
    annotation["categories"] += [dict(id=100 - i, name=name) for i, name in enumerate(rest)]
    write_coco(tmp_path, random_boxes(images=6))
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"{split}2017").symlink_to(tmp_path / "images")
        (tmp_path / "annotations" / f"instances_{split}2017.json").write_text(
            json.dumps(annotation)
        )
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_known(tmp_path, name):
    config = read(tmp_path, name)
    assert config.test_dataloader.dataset.type.startswith("react_mm.OpenVocabulary")
    assert config.test_evaluator.type.startswith("react_mm.OpenVocabulary")
    with pytest.raises(ConfigKeyError, match="did you mean novel"):
        read(tmp_path, name, **{"test_dataloader.dataset.novell": "x"})


def test_ov_coco_from_the_two_files_that_the_tool_writes(all_names, monkeypatch):
    folder = all_names / "annotations"
    train, val = (folder / f"instances_{split}2017" for split in ("train", "val"))
    convert(monkeypatch, f"{train}.json", f"{train}_base.json", "--novel", "ov-coco")
    convert(
        monkeypatch,
        f"{train}.json",
        f"{train}_base_ignore.json",
        *("--novel", "ov-coco", "--novel-as-ignore"),
    )
    convert(
        monkeypatch,
        f"{val}.json",
        f"{val}_base-novel.json",
        *("--novel", "ov-coco", "--keep", "base-novel"),
    )
    root = f"{all_names}/"
    for name in NAMES[:2]:
        options = {"data_root": root, "train_dataloader.dataset.filter_cfg.min_size": 1}
        config = read(all_names, name, **options)
        data, sample = first(config, "train_dataloader")
        assert set(data.metainfo["classes"]) == set(OV_COCO_BASE)
        assert len(data.metainfo["classes"]) == 48 and data.metainfo["novel_classes"] == ()
        ignored = sum(
            i["ignore_flag"] for n in range(len(data)) for i in data.get_data_info(n)["instances"]
        )
        assert (ignored > 0) == ("ignore" in name)
        data, sample = first(config, "test_dataloader")
        assert set(data.metainfo["novel_classes"]) == set(OV_COCO_NOVEL)
        assert len(data.metainfo["classes"]) == 65 and "hair drier" not in data.metainfo["classes"]
        assert sample.gt_instances.labels.max() < 65
        assert METRICS.build(config.test_evaluator).ann_file.startswith(root)


def test_ov_lvis(tmp_path, monkeypatch):
    (tmp_path / "annotations").mkdir()
    full = write_lvis(tmp_path)
    base = tmp_path / "annotations" / "base.json"
    convert(monkeypatch, full, base, "--novel", "ov-lvis")
    config = read(
        tmp_path,
        "ov-lvis_detection",
        **{
            "data_root": f"{tmp_path}/",
            "train_dataloader.dataset.dataset.ann_file": str(base),
            "train_dataloader.dataset.dataset.filter_cfg.min_size": 1,
            "test_dataloader.dataset.ann_file": str(full),
            "test_evaluator.ann_file": str(full),
        },
    )
    assert config.train_dataloader.dataset.type == "ClassBalancedDataset"
    data, sample = first(config, "train_dataloader")
    assert data.metainfo["classes"] == ("dog", "cat") and len(sample.gt_instances.masks)
    data, _ = first(config, "test_dataloader")
    assert data.metainfo["novel_classes"] == ("bow_(weapon)", "bee")
    metric = METRICS.build(config.test_evaluator)
    assert metric.metrics == ["bbox"] and metric.default_prefix == "ov_lvis"


def test_ov_lvis_names_the_real_files_and_their_counts(tmp_path):
    """866 and 337 are asserted by name when LVIS v1 itself is read."""
    config = read(tmp_path, "ov-lvis_detection")
    assert config.train_dataloader.dataset.dataset.ann_file == (
        "annotations/lvis_v1_train_base.json"
    )
    assert config.test_dataloader.dataset.ann_file == "annotations/lvis_v1_val.json"
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "lvis_v1_val.json").write_text(write_lvis(tmp_path).read_text())
    config.test_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(ValueError, match="LVIS v1 has 866 and 337"):
        DATASETS.build(config.test_dataloader.dataset)


@pytest.mark.parametrize("name", NAMES[3:])
def test_a_folder_of_ones_own(tmp_path, monkeypatch, name):
    (tmp_path / "annotations").mkdir()
    text = write_coco(tmp_path, random_boxes(images=5)).read_text()
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(tmp_path / "images")
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(text)
    monkeypatch.setenv("MY_DETECTION", str(tmp_path))
    config = read(tmp_path, name)
    data, sample = first(config, "test_dataloader")
    everything = ("cat", "wasp", "dog", "bee")
    zero_shot = name.endswith("zero-shot")
    assert data.metainfo["classes"] == everything and len(sample.gt_instances)
    assert data.metainfo["novel_classes"] == (everything if zero_shot else ())
    assert data.metainfo["base_classes"] == (() if zero_shot else everything)
    assert (config.train_dataloader is None) == zero_shot
    METRICS.build(config.test_evaluator)
    if not zero_shot:
        config = read(tmp_path, name, **{"train_dataloader.dataset.filter_cfg.min_size": 1})
        data, _ = first(config, "train_dataloader")
        assert data.metainfo["base_classes"] == everything
