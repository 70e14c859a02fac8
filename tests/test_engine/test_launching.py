"""What tools/train.py and tools/test.py share: the vocabulary file from the command line to AP."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.engine.launching import (
    add_common_arguments,
    build_runner,
    prepare,
    use_vocabulary,
    write_metrics,
)
from tests.detection_data import DETECTION, reduced

STEM = "atss_toy-vit_fpn_toy"


def names_file(folder, *lines):
    path = folder / "names.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_the_hook_gets_the_file_or_is_added(tmp_path):
    path = names_file(tmp_path, "cat", "dog")
    config = Config(dict(custom_hooks=[dict(type="A"), dict(type="react_mm.VocabularyHook")]))
    use_vocabulary(config, path)
    wanted = dict(type="react_mm.VocabularyHook", vocabulary=path)
    assert [dict(h) for h in config.custom_hooks] == [dict(type="A"), wanted]
    config = Config(dict(model=dict(type="X")))
    use_vocabulary(config, path)
    assert [dict(h) for h in config.custom_hooks] == [wanted]


def test_a_wrong_file_ends_it_before_anything_is_built(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        use_vocabulary(Config(), "nowhere.txt")
    with pytest.raises(ValueError, match=r"names\.txt.*'cat' stands twice"):
        use_vocabulary(Config(), names_file(tmp_path, "cat", "dog", "cat"))


def run(folder, *lines, metrics=None):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    arguments = [str(DETECTION / f"{STEM}.py"), "--work-dir", str(folder / "work")]
    args = parser.parse_args([*arguments, "--vocabulary", names_file(folder, *lines)])
    args.cfg_options = reduced(STEM, folder)
    config = prepare(args)
    config.test_evaluator = metrics or config.test_evaluator
    return build_runner(config)


def test_names_and_synonyms_reach_the_detector(tmp_path):
    runner = run(tmp_path, "eel; conger", "ant", "bee; honeybee", "cow", "dog")
    runner.train()  # on the four base classes of the five
    assert runner.model.vocabulary.names == ("ant", "bee", "cow", "dog")
    metrics = runner.test()
    assert runner.model.vocabulary.names == ("ant", "bee", "cow", "dog", "eel")
    assert runner.model.vocabulary.all_names("eel") == ("eel", "conger")
    assert "ov_coco/novel_ap50" in metrics


def test_names_that_the_annotations_lack_are_refused_where_figures_are_computed(tmp_path):
    out = str(tmp_path / "found.pkl")
    with pytest.raises(ValueError, match=r"lacks classes.*: eel; did you mean eels"):
        run(tmp_path, "ant", "bee", "cow", "dog", "eels").test()
    runner = run(tmp_path, "zebra", "yak", metrics=dict(type="DumpDetResults", out_file_path=out))
    runner.test()
    assert runner.model.vocabulary.names == ("zebra", "yak")
    assert Path(out).is_file()


def test_a_metric_without_a_number_is_null(tmp_path):
    metrics = {"accuracy": np.float64(0.5), "accuracy_target": float("nan"), "boxes": 3}
    write_metrics(tmp_path / "out.json", metrics, Config({}))
    written = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert written == {"accuracy": 0.5, "accuracy_target": None, "boxes": 3}
