"""docs/train_a_detector.md: its configs load, train, test and draw; its options and files exist."""

import re
import shlex

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from tests.coco_files import CATEGORIES, random_boxes, write_coco
from tests.inference_toys import write_gated_delta

NAMES = [name for _, name in sorted(CATEGORIES)]


@pytest.fixture
def page(repository):
    return (repository / "docs" / "train_a_detector.md").read_text()


@pytest.fixture
def folder(tmp_path, monkeypatch, page):
    """A COCO-format folder, and the page's configs beside it."""
    own = tmp_path / "my-detection"
    (own / "annotations").mkdir(parents=True)
    for part, images in (("train", 4), ("val", 2)):
        (own / part).mkdir()
        write_coco(own / part, random_boxes(images)).rename(
            own / "annotations" / f"instances_{part}.json"
        )
        for image in (own / part / "images").iterdir():
            image.rename(own / part / image.name)
    monkeypatch.setenv("MY_DETECTION", str(own))
    monkeypatch.chdir(tmp_path)
    photographs, drawn = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "photographs.py").write_text(photographs)
    (tmp_path / "my_detector.py").write_text(drawn)
    return tmp_path


def commands(page):
    """The page's commands, continued lines joined, as lists of words."""
    joined = re.sub(r"\\\n\s*", " ", page)
    lines = [line.strip() for line in joined.splitlines() if line.startswith("    python ")]
    return [shlex.split(line) for line in lines]


def options_of(words):
    """What stands after --cfg-options, as a mapping."""
    if "--cfg-options" not in words:
        return {}
    rest = words[words.index("--cfg-options") + 1 :]
    return dict(word.split("=", 1) for word in rest if "=" in word)


def test_the_photographs_config_builds(folder):
    config = load_config(folder / "photographs.py")
    with DefaultScope.overwrite_default_scope("mmdet"), torch.device("meta"):
        model = MODELS.build(config.model)
    assert model.backbone.embed_dim == 512
    assert config.train_dataloader.dataset.data_root == str(folder / "my-detection") + "/"
    assert config.train_cfg.max_epochs == 12


def test_every_command_names_what_there_is(folder, page, repository):
    found = commands(page)
    assert len(found) >= 9
    (folder / "novel.txt").write_text("bee\n")
    for words in found:
        assert (repository / words[1]).is_file(), words
        if "my_detector.py" in words:
            load_config(folder / "my_detector.py", options_of(words))
        known = (repository / words[1]).read_text()
        known += (repository / "react_mm" / "engine" / "launching.py").read_text()
        for word in words[2:]:
            assert not word.startswith("--") or f'"{word}"' in known, (words[1], word)


def test_from_the_folder_to_pictures(folder):
    """Training, test and pictures with the page's config, two iterations long."""
    from react_mm.apis import Inferencer
    from react_mm.apis.visualization import visualize

    options = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "work_dir": "run"}
    for part in ("train", "val", "test"):
        options |= {
            f"{part}_dataloader.num_workers": 0,
            f"{part}_dataloader.persistent_workers": False,
            f"{part}_dataloader.batch_size": 2,
        }
    build_runner(load_config(folder / "my_detector.py", options)).train()
    checkpoint = folder / "run" / "iter_2.pth"
    tested = load_config(folder / "my_detector.py", {**options, "load_from": str(checkpoint)})
    figures = build_runner(tested).test()
    assert -1 <= figures["ov_coco/base_ap50"] <= 1
    assert figures["ov_coco/novel_ap50"] == -1

    def build():
        return Inferencer(folder / "my_detector.py", checkpoint)

    counts = visualize(folder / "my-detection" / "val", folder / "seen", {"": build}, 0.0)
    assert counts["drawn"] == 2
    inferencer = build()
    assert inferencer.vocabulary.names == tuple(NAMES)
    assert inferencer.model.base_classes == tuple(NAMES)
    delta = write_gated_delta(folder / "customized.safetensors")
    other = Inferencer(folder / "my_detector.py", checkpoint, delta=delta)
    assert other.vocabulary == inferencer.vocabulary
