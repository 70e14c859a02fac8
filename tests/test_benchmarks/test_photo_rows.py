"""Every row of the customization table has a config that takes its options."""

from pathlib import Path

import pytest

from react_mm.benchmarks.matrix_plan import FULL, MAIN_ROWS, parts_of
from react_mm.benchmarks.photo_evaluation import DOMAINS
from react_mm.benchmarks.photo_rows import (
    ROWS,
    config_of,
    dense_options,
    retrieval_settings,
    training_options,
)
from react_mm.engine.configuration import load_config
from react_mm.registry import MODELS
from react_mm.retrieval.settings import parse_settings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", list(ROWS))
def test_options_reach_the_config(name):
    row = ROWS[name]
    options = training_options(row, Path("found"), Path("tokens"), 7, 11)
    config = load_config(config_of(row, CONFIGS), options)
    assert config.model.method == row.method and config.train_cfg.max_iters == 11
    loader = config.train_dataloader
    paths = {source["path"]: source.get("role", "pair") for source in loader.dataset.sources}
    expected = {str(Path("found") / row.pairs): "pair"}
    if row.general:
        expected["found/samples/general"] = "general"
    assert paths == expected
    shares = (loader.sampler.pairs_per_batch, loader.sampler.general_per_batch)
    assert shares == ((64, 32) if row.general else (64, 0)) and sum(shares) == loader.batch_size
    assert ("hard_pairs" in loader.sampler) == row.hard
    if row.by_gates:
        assert loader.dataset.prefix_cache == "tokens"
    hooks = {hook["type"] for hook in config.custom_hooks}
    assert ("react_mm.PrefixCacheHook" in hooks) == row.by_gates
    for regularizer in config.model.get("regularizers", []):
        MODELS.build(dict(regularizer))  # its options exist
    if name.endswith(("dense", "dense-only")):
        assert "Dense" in loader.dataset.type and row.dense
    assert config.val_dataloader is None


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_retrieval_settings_are_whole(domain):
    plain, hard = (
        retrieval_settings(CONFIGS, DOMAINS[domain], Path("out"), struck, quick=not struck)
        for struck in (False, True)
    )
    for settings in (plain, hard):
        parse_settings({k: v for k, v in settings.items() if k != "encoder"})
    assert plain["search"]["k"] == 5 and hard["search"]["k"] == 100
    assert all(source["strike"] == hard["query"]["concepts"] for source in hard["pool"])
    assert not any("strike" in source for source in plain["pool"])
    elsewhere = plain["sample"][-1]
    assert elsewhere["exclude"][0].endswith(f"/{domain}/train")
    held_out = [Path(path).parts[-2:] for path in plain["select"]["held_out"]]
    names = DOMAINS[domain].splits
    assert {(domain, names["val"]), (domain, names["test"])} < set(held_out)


def test_the_plan_is_what_the_command_line_asks_for():
    assert parts_of(None, False, None, None) == list(FULL)
    (one,) = parts_of("clothing", False, [3], None)
    assert one.domain == "clothing" and one.seeds == (3,) and one.rows == MAIN_ROWS
    (struck,) = parts_of(None, True, None, ["plain"])
    assert struck.folder == "grocery-struck" and struck.rows == ("plain",)
    assert {"plain", "teacher", "locked-text", "dense", "control"} <= set(MAIN_ROWS)
    with pytest.raises(ValueError, match="did you mean grocery"):
        parts_of("groceries", False, None, None)


def test_gates_of_dense_tasks():
    assert dense_options(None, 0.5) == {}
    options = dense_options(Path("a.safetensors"), 0.5)
    assert options["model.backbone.gate_scale"] == 0.5
