"""The table of methods by hand; a real run of two rows is in test_demo_line.py."""

import pytest

from react_mm.engine.configuration import load_config
from react_mm.engine.running import configs_folder
from react_mm.toy.methods import ROWS, methods_table, run_methods


def test_table_in_percent():
    groups = {"target": 0.25, "other": 0.5}
    values = {f"{m}.{g}": v for m in ("zero_shot", "gt_box", "miou") for g, v in groups.items()}
    found = {
        "before": dict.fromkeys(("zero_shot", "gt_box", "miou", "ap50"), groups),
        "rows": {"LoRA + teacher": {"scale": 0.75, **values, "zero_shot.target": 0.125}},
        "seconds": {"LoRA + teacher": 61.2, "scale LoRA + teacher": 5.0},
    }
    lines = methods_table(found).splitlines()
    assert lines[2] == "| base |  | 25.0 | 50.0 | 25.0 | 50.0 | 25.0 | 50.0 |  |"
    assert lines[3] == "| LoRA + teacher | 0.75 | 12.5 | 50.0 | 25.0 | 50.0 | 25.0 | 50.0 | 61 |"
    assert len({line.count("|") for line in lines}) == 1


def test_a_seed_without_a_finished_demo_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="without --methods"):
        run_methods(tmp_path, 0)


@pytest.mark.parametrize("name", ROWS)
def test_rows_say_what_their_configs_do(name):
    row = ROWS[name]
    config = load_config(configs_folder() / "customization" / f"{row.config}.py")
    roles = [source.get("role") for source in config.train_dataloader.dataset.sources]
    assert ("general" in roles) == row.general
    assert (config.model.method in ("gated-image", "lora")) == row.gates
