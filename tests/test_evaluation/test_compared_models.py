import pytest

from react_mm.engine.configuration import check_config
from react_mm.evaluation.compared_models import (
    ComparedModel,
    ComparedTask,
    check_names,
    native_preprocessing,
    task_config,
)

TASK = """
_base_ = ['{root}/configs/zero_shot_classification/clip-vit-b16_mnist.py']
"""
BASE = """
_base_ = ['{root}/configs/_base_/models/clip_toy.py']
"""


@pytest.fixture
def files(tmp_path, repository):
    for name, text in (("task.py", TASK), ("toy.py", BASE)):
        (tmp_path / name).write_text(text.format(root=repository))
    for name in ("delta.safetensors", "delta.json", "whole.safetensors", "run.pth"):
        (tmp_path / name).write_bytes(b"{}")
    return tmp_path


def test_models_as_written(files, monkeypatch):
    monkeypatch.chdir(files)
    assert ComparedModel.parse("base=none") == ComparedModel("base")
    assert ComparedModel.parse("a=toy.py+delta.safetensors@0.5") == ComparedModel(
        "a", "toy.py", "delta.safetensors", 0.5
    )
    assert ComparedModel.parse("a=delta.safetensors").at(0.25).name == "a@0.25"
    for text, message in (
        ("delta.safetensors", "expected NAME="),
        ("a=delta.safetensors@2", "not in \\[0, 1\\]"),
        ("a=toy.py@0.5", "needs the weights"),
        ("a=delta.json", "no .py"),
        ("a=run.pth+whole.safetensors", "no .py"),
    ):
        with pytest.raises(ValueError, match=message):
            ComparedModel.parse(text)
    with pytest.raises(FileNotFoundError, match="none.safetensors does not exist"):
        ComparedModel.parse("a=none.safetensors")


def test_tasks_as_written(files, monkeypatch):
    monkeypatch.chdir(files)
    assert ComparedTask.parse("task.py") == ComparedTask("task", "task.py")
    assert ComparedTask.parse("digits=task.py") == ComparedTask("digits", "task.py")
    with pytest.raises(FileNotFoundError, match="other.py does not exist"):
        ComparedTask.parse("other.py")
    with pytest.raises(ValueError, match="'task' is given twice"):
        check_names([ComparedTask.parse("task.py"), ComparedTask.parse("task=task.py")])


def test_a_base_keeps_the_tasks_templates_and_brings_its_own_size(files):
    task = ComparedTask("t", str(files / "task.py"))
    model = ComparedModel("m", base=str(files / "toy.py"))
    config = task_config(task, model, {"test_dataloader.batch_size": 7})
    assert config.model.image_tower.arch == "toy-vit"
    assert config.model.templates == "mnist"
    assert config.test_dataloader.dataset.pipeline[0].size == 64
    assert config.test_dataloader.batch_size == 7
    assert native_preprocessing({"image_tower": {"image_size": 160}}) == {"size": 160}
    assert native_preprocessing({}) == {}
    siglip = {"image_tower": {"arch": "ViT-B-16-SigLIP-384", "pretrained": "webli"}}
    assert native_preprocessing(siglip) == {
        "size": 384,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }


@pytest.mark.parametrize("name", ["clip-vit-b32_openai", "clip-vit-l14_openai", "lite"])
def test_shipped_bases_replace_a_tasks(name, repository):
    task = repository / "configs" / "zero_shot_classification" / "clip-vit-b16_dtd.py"
    base = repository / "configs" / "_base_" / "models" / f"{name}.py"
    config = task_config(ComparedTask("t", str(task)), ComparedModel("m", base=str(base)))
    check_config(config)
    assert config.model.templates == "dtd"
    pipeline = config.test_dataloader.dataset.pipeline
    assert pipeline[0].size == (160 if name == "lite" else 224)


def test_weights_find_their_place(files):
    task = ComparedTask("t", str(files / "task.py"))

    def model(weights, scale=None):
        return task_config(task, ComparedModel("m", None, str(files / weights), scale))

    config = model("delta.safetensors", 0.5)
    assert (config.model.delta, config.model.gate_scale) == (str(files / "delta.safetensors"), 0.5)
    config = model("whole.safetensors")
    for tower in (config.model.image_tower, config.model.text_tower):
        assert tower.checkpoint == str(files / "whole.safetensors") and tower.pretrained is None
    assert model("run.pth").load_from == str(files / "run.pth")
    for weights, message in (("whole.safetensors", "no card"), ("run.pth", "no gate scale")):
        with pytest.raises(ValueError, match=message):
            model(weights, 0.5)


def test_a_detectors_backbone_takes_the_customization(files, repository):
    task = ComparedTask("t", str(repository / "configs/segmentation/maskclip_toy-vit_toy.py"))
    config = task_config(task, ComparedModel("m", None, str(files / "delta.safetensors"), 0.5))
    assert config.model.backbone.delta == str(files / "delta.safetensors")
    assert config.model.backbone.gate_scale == 0.5
    with pytest.raises(ValueError, match="no towers that a base could replace"):
        task_config(task, ComparedModel("m", base=str(files / "toy.py")))
