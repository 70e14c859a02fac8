"""Cells are run once, keyed by content, and paired image by image."""

import json

import numpy as np
import pytest

from react_mm.engine.configuration import load_config
from react_mm.evaluation.bootstrap import interval, paired_difference
from react_mm.evaluation.compared_models import ComparedModel, ComparedTask
from react_mm.evaluation.comparison import cell_key, run_comparison
from react_mm.evaluation.comparison_table import frontier_rows, tabulate
from tests import tiny
from tests.pair_shards import png

CHILD = """
_base_ = ['{root}/configs/zero_shot_classification/clip-vit-b16_{set}.py']
tower = dict(_delete_=True, arch='{arch}', checkpoint='{weights}')
model = dict(
    image_tower=dict(_delete_=True, type='react_mm.CLIPViT', arch='{arch}', checkpoint='{weights}'),
    text_tower=dict(_delete_=True, type='react_mm.CLIPText', arch='{arch}', checkpoint='{weights}'))
test_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(path='{folder}',
    pipeline=[dict(type='react_mm.ResizeCenterCrop', size=32)]))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from pathlib import Path

    folder = tmp_path_factory.mktemp("world")
    root = Path(__file__).resolve().parents[2]
    arch = tiny.write_architecture(folder)
    weights = tiny.write_weights(arch, folder / "tiny.safetensors")
    for name in map(str, range(10)):
        (folder / "mnist" / "test" / name).mkdir(parents=True)
        for i in range(3):
            seed = int(name) * 3 + i
            (folder / "mnist" / "test" / name / f"{i}.png").write_bytes(png(seed))
    for name in ("0", "1"):
        (folder / "memes" / "test" / name).mkdir(parents=True)
        for i in range(4):
            (folder / "memes" / "test" / name / f"{i}.png").write_bytes(
                png(50 + i + 10 * int(name))
            )
    values = dict(root=root, arch=arch, weights=weights)
    for task, name in (("mnist", "mnist"), ("memes", "hateful-memes")):
        text = CHILD.format(set=name, folder=folder / task, **values)
        (folder / f"{task}.py").write_text(text)
    tiny.write_weights(arch, folder / "other.safetensors", seed=1)
    return folder


def plan(world, *tasks):
    models = [ComparedModel("base"), ComparedModel("other", None, str(world / "other.safetensors"))]
    return models, [ComparedTask(t, str(world / f"{t}.py")) for t in tasks]


def test_finished_cells_are_used_again_and_missing_ones_run(world, tmp_path):
    said = []
    models, tasks = plan(world, "mnist")
    run_comparison(models, tasks, tmp_path, say=said.append)
    assert [line for line in said if "testing" in line] == [
        "[1/2] mnist, base: testing",
        "[2/2] mnist, other: testing",
    ]
    said.clear()
    models, tasks = plan(world, "mnist", "memes")
    cells = run_comparison(models, tasks, tmp_path, say=said.append)
    assert [line for line in said if "testing" in line] == [
        "[3/4] memes, base: testing",
        "[4/4] memes, other: testing",
    ]
    # a killed run leaves the arrays without the JSON file: the cell runs again
    (tmp_path / "cells" / f"{cells[0].key}.json").unlink()
    said.clear()
    again = run_comparison(models, tasks, tmp_path, say=said.append)
    assert [line for line in said if "testing" in line] == ["[1/4] mnist, base: testing"]
    assert [c.metrics for c in again] == [c.metrics for c in cells]
    check_table(cells)


def check_table(cells):
    by_place = {(c.task, c.model): c for c in cells}
    result = tabulate(cells, draws=50, seed=4)
    rows = {(r["task"], r["model"]): r for r in result["rows"]}
    base, other = (by_place["mnist", m].outcomes["zero_shot/top1"] for m in ("base", "other"))
    assert base.keys == other.keys and len(base.keys) == 30
    hits = [o.arrays["hits"] for o in (base, other)]
    assert not np.array_equal(*hits), "two bases must differ somewhere"
    row = rows["mnist", "other"]
    assert row["value"] == pytest.approx(hits[1].mean())
    assert row["interval"] == interval(hits[1], draws=50, seed=4).as_dict()
    expected = paired_difference(hits[1], hits[0], draws=50, seed=4)
    assert row["difference"] == pytest.approx(expected.as_dict())
    assert rows["mnist", "base"]["difference"] is None
    assert rows["memes", "other"]["metric"] == "zero_shot/roc_auc"
    assert rows["memes", "other"]["interval"]["seed"] == 5  # the second task's own seed
    mean = rows["mean of 2 tasks", "other"]
    assert mean["value"] == pytest.approx((row["value"] + rows["memes", "other"]["value"]) / 2)
    assert mean["interval"]["low"] <= mean["value"] <= mean["interval"]["high"]
    assert json.loads(json.dumps(result))["reference"] == "base"
    more = tabulate(cells, "other", ["zero_shot/top*"], draws=5)
    assert ("memes", "zero_shot/top1") in {(r["task"], r["metric"]) for r in more["rows"]}
    with pytest.raises(ValueError, match="no model is named 'othr'; did you mean other"):
        tabulate(cells, "othr")
    with pytest.raises(ValueError, match="no task has the metric 'recall'"):
        tabulate(cells, metrics=["recall"])
    scales = {"base": ("base", None), "other": ("other", 1.0)}
    front = frontier_rows(cells, scales, "mnist", "memes")
    assert front[1] == {
        "model": "other",
        "scale": 1.0,
        "domain": row["value"],
        "general": rows["memes", "other"]["value"],
    }
    with pytest.raises(ValueError, match="no task is named 'coco'"):
        frontier_rows(cells, scales, "mnist", "coco")


def test_the_key_is_made_of_contents(world, tmp_path):
    def key(**options):
        return cell_key(load_config(world / "mnist.py", options))

    plain = key()
    assert key() == plain
    assert key(**{"test_dataloader.batch_size": 3}) == plain  # changes no number
    assert key(**{"model.gate_scale": 0.5}) != plain
    assert key(**{"test_dataloader.dataset.synonyms": False}) != plain
    copied = tmp_path / "copy.safetensors"
    copied.write_bytes((world / "tiny.safetensors").read_bytes())
    options = {f"model.{tower}_tower.checkpoint": str(copied) for tower in ("image", "text")}
    assert key(**options) == plain  # another name, the same weights
    copied.write_bytes(copied.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    assert key(**options) != plain


def test_nothing_runs_when_something_named_is_wrong(world, tmp_path):
    models, tasks = plan(world, "mnist")
    with pytest.raises(ValueError, match="given twice"):
        run_comparison([*models, models[0]], tasks, tmp_path)
    with pytest.raises(KeyError, match="no key 'nothing'"):
        run_comparison(models, tasks, tmp_path, {"nothing": 1})
    assert not (tmp_path / "cells").exists()
