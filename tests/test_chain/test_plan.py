"""What is refused before any long work."""

import json

import pytest

from react_mm.chain import plan
from react_mm.chain.settings import load_settings
from react_mm.engine.configuration import ConfigKeyError, load_config
from react_mm.prompts import Vocabulary
from tests.coco_files import coco


def test_shipped_customizations_train_on_sets_of_the_chain(repository):
    folder = repository / "configs" / "customization"
    for name, sets in {"recommended": 2, "dense": 2, "plain": 1, "control": 2}.items():
        config = load_config(folder / f"gated-image_toy-vit_toy_{name}.py")
        found = plan.sets_of(config)
        assert len(found) == sets and ("control" in found) == (name == "control"), found


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"detector.options.model.backbone.dense_mod": "x"}, ConfigKeyError, "dense_mode"),
        ({"customization.dense.options.model.teacher": 1}, ConfigKeyError, "teacher_weight"),
        ({"gate_scale.options.model.templats": "x"}, ConfigKeyError, "templates"),
        ({"retrieval.options.search.kk": 1}, ValueError, "unknown key search.kk"),
        ({"retrieval.options.sample": []}, ValueError, "customized trains on the sample 'general'"),
        (
            {"tests.detection.config": "detection/gt-box_toy-vit_toy.py"},
            ValueError,
            "name is taken",
        ),
        ({"gate_scale.config": "detection/gt-box_toy-vit_toy.py"}, ValueError, "no val_dataloader"),
        (
            {"customization.dense.config": "customization/gated-image_clip-vit-b16_ov-coco.py"},
            ValueError,
            "customization.dense is on the base .*ViT-B-16.*toy-vit",
        ),
        ({"world": None, "names": "nowhere.txt"}, FileNotFoundError, "nowhere.txt"),
    ],
)
def test_mistakes_are_named_before_anything_runs(
    toy_config, tmp_path, monkeypatch, options, error, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        plan.check(load_settings(toy_config, options))


def test_the_shipped_chain_is_accepted(toy_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan.check(load_settings(toy_config))


def test_the_retrieval_gets_the_chain_s_names_and_folder(toy_config):
    content = plan.retrieval_settings(load_settings(toy_config, {"names": "mine.txt"}, "out"))
    assert content["query"] == {"concepts": "mine.txt", "templates": "drawn"}
    assert content["work_dir"] == "out/retrieval"


def test_names_that_are_no_class_are_told(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco([[]])))
    found = plan.check_names(Vocabulary(("bee", "moth"), {}), path)
    assert found == {"tested": ["bee"], "not_tested": ["moth"]}
    with pytest.raises(ValueError, match="none of the 1 names .* is a class of .*wasp"):
        plan.check_names(Vocabulary(("wasps",), {}), path)


def test_renamed_classes_have_a_synonym(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("bee; bumblebee; humble-bee\nwasp\n")
    assert plan.renamed(["bee", "wasp"], str(path)) == {"bee": "bumblebee"}
    with pytest.raises(ValueError, match="no synonym"):
        plan.renamed(["wasp"], str(path))
    assert plan.renamed(["airplane"], "coco")["airplane"]


def test_a_changed_pool_has_another_identity(toy_config, small_world, small_options, monkeypatch):
    import os

    monkeypatch.chdir(small_world)
    settings = load_settings(toy_config, small_options)
    first = plan.pool_identity(settings)
    assert plan.pool_identity(settings) == first
    shard = next((small_world / "data/toy/pool").glob("*.tar"))
    state = shard.stat()
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    assert plan.pool_identity(settings) != first
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns))
