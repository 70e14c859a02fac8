"""The segmentation study: its plan, its table, what it refuses."""

import itertools

import pytest

from react_mm.engine import running
from react_mm.engine.configuration import load_config
from react_mm.toy import segmentation as study


def seed_of(shift):
    rows = {}
    for row, tower in itertools.product([*study.VARIANTS, *study.HEADS], study.TOWERS):
        value = 0.1 + shift + 0.05 * study.TOWERS.index(tower)
        rows.setdefault(row, {})[tower] = dict.fromkeys(study.FIGURES, value)
    return {"seed": 0, "rows": rows}


def test_table_has_every_row_and_paired_differences():
    text = study.segmentation_table([seed_of(0.0), seed_of(0.2)])
    lines = text.splitlines()
    assert len(lines) == 2 + (6 + 2) * 3
    (line,) = (row for row in lines if row.startswith("| local | customized + dense |"))
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    # 0.2 and 0.4: mean 30, Student's t (one degree) 12.706 times 0.1
    assert cells[2] == "30.0 ± 127.1"
    assert cells[-1] == "10.0 ± 0.0"
    assert "| 10.0 | 10.0 |" in study.segmentation_table([seed_of(0.0)])  # no interval of one seed
    (plain,) = (row for row in lines if row.startswith("| local | plain |"))
    assert plain.split("|")[-2].strip() == ""


def test_needs_a_finished_demo(tmp_path):
    with pytest.raises(FileNotFoundError, match="reproduce_toy_world.py --seeds 3"):
        study.run_segmentation(tmp_path, 3)


def test_options_fit_the_configs():
    """Every key that the study sets exists, and each head's config reports its figures."""
    for config in (*study.HEADS.values(), study.TASKS["segmentation"].config):
        options = {**study.TASKS["segmentation"].on_val, "test_dataloader.dataset.indices": 8}
        if config not in study.HEADS.values():
            options |= {"model.backbone.dense_mode": "sclip", "model.background.threshold": 0.5}
        else:
            options |= {"randomness.seed": 3, "train_cfg.max_iters": 2}
        loaded = load_config(running.configs_folder() / config, options)
        assert loaded.test_evaluator.type == "react_mm.SegmentationIoU"
        assert loaded.test_dataloader.dataset.novel.endswith("target.txt")
