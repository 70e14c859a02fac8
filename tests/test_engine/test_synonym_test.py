"""Figures under synonyms: a model that knows some words, and the tool's output."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.registry import MODELS
from tests.coco_files import random_boxes, write_coco


@MODELS.register_module()
class WordReader(BaseModel):
    """Finds the objects of a class perfectly if it knows the word it is asked by."""

    KNOWN = ("cat", "dog", "bee", "wasp", "honey bee")

    def set_base_classes(self, names):
        self.base = list(names)

    def set_vocabulary(self, names, synonyms=None):
        self.names, self.num_vocabulary = names, len(names)

    def forward(self, inputs, data_samples, mode="predict"):
        for sample in data_samples:
            known = torch.tensor([name in self.KNOWN for name in self.names])
            truth = sample.gt_instances
            kept = truth[known[truth.labels]]
            scores = torch.ones(len(kept))
            sample.pred_instances = InstanceData(
                bboxes=kept.bboxes.tensor, labels=kept.labels, scores=scores
            )
        return data_samples


CONFIG = """
default_scope = "mmdet"
model = dict(type="react_mm.WordReader")
custom_imports = dict(
    imports=["react_mm.datasets.detection", "react_mm.evaluation.ov_coco", "react_mm.engine"]
)
custom_hooks = [{hook}]
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        ann_file={path!r},
        data_prefix=dict(img={images!r}),
        novel=["bee", "wasp"],
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="PackDetInputs", meta_keys=("img_id", "ori_shape")),
        ],
    ),
)
test_cfg = dict(type="TestLoop")
test_evaluator = dict(type="react_mm.OpenVocabularyCocoMetric", ann_file={path!r})
"""


@pytest.fixture
def files(tmp_path):
    path = write_coco(tmp_path, random_boxes())
    names = tmp_path / "own.txt"
    names.write_text(
        "bee; honey bee; stinging insect\nwasp; yellow jacket\ncat; moggy\ndog; hound\n"
    )

    def write(hook='dict(type="react_mm.VocabularyHook")'):
        config = tmp_path / "reader.py"
        images = str(tmp_path / "images")
        config.write_text(CONFIG.format(hook=hook, path=str(path), images=images))
        return config

    return write, names, tmp_path


def call(repository, monkeypatch, config, folder, *arguments):
    tool = repository / "tools" / "test_synonyms.py"
    options = ["--work-dir", folder / "run", "--out", folder / "out.json", *arguments]
    monkeypatch.setattr(sys, "argv", [str(tool), str(config), *map(str, options)])
    runpy.run_path(str(tool), run_name="__main__")
    return json.loads((folder / "out.json").read_text())


def test_novel_classes_by_two_columns(files, repository, monkeypatch, capsys):
    """The first synonym of bee is a known word, the second is not; that of wasp never is."""
    write, names, folder = files
    found = call(repository, monkeypatch, write(), folder, "--synonyms", names, "--which", "1", "2")
    novel, base = (
        [row["metrics"][f"ov_coco/{group}_ap50"] for row in found["rows"]]
        for group in ("novel", "base")
    )
    assert novel == pytest.approx([1.0, 0.5, 0.0]) and base == pytest.approx([1.0] * 3)
    assert found["rows"][1]["renamed"] == {"bee": "honey bee", "wasp": "yellow jacket"}
    assert found["change"]["ov_coco/novel_ap50"] == pytest.approx(0.25 - 1)
    assert (
        "own 1.0000  synonym 1 0.5000  synonym 2 0.0000  change -0.7500" in capsys.readouterr().out
    )


def test_base_classes_alone(files, repository, monkeypatch):
    write, names, folder = files
    found = call(repository, monkeypatch, write(), folder, "--synonyms", names, "--classes", "base")
    figures = found["rows"][1]["metrics"]
    assert figures["ov_coco/base_ap50"] == 0 and figures["ov_coco/novel_ap50"] == pytest.approx(1)


def test_refused_before_testing(files, repository, monkeypatch):
    write, names, folder = files
    with pytest.raises(ValueError, match="no synonym|has none for class 'wasp'"):
        call(repository, monkeypatch, write(), folder)
    config = write('dict(type="NumClassCheckHook")')
    with pytest.raises(ValueError, match="no react_mm.VocabularyHook"):
        call(repository, monkeypatch, config, folder, "--synonyms", names)
