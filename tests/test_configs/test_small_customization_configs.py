"""Configs of the toy and lite bases that no row of the customization table uses."""

from pathlib import Path

import pytest
from mmengine.config import Config

from react_mm.engine.configuration import load_config
from react_mm.models.losses import RegionDistillation
from react_mm.registry import MODELS
from react_mm.retrieval.settings import parse_settings

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("suffix", ["dense", "dense-only"])
def test_toy_configs_with_region_distillation_build(suffix):
    config = load_config(CONFIGS / f"customization/gated-image_toy-vit_toy_{suffix}.py")
    model = MODELS.build(dict(config.model))
    (regions,) = [r for r in model.regularizers if isinstance(r, RegionDistillation)]
    assert regions.images == "both"
    assert config.train_dataloader.dataset.dense_size > 64
    alone = suffix == "dense-only"
    assert model.contrastive_weight == (0.0 if alone else 1.0)
    assert len(model.regularizers) == (1 if alone else 2)


def test_the_page_s_configs_take_their_folders_from_the_environment(monkeypatch):
    for name, value in (("MY_PHOTOS", "mine"), ("OTHER_PHOTOS", "other"), ("MY_NAMES", "n.txt")):
        monkeypatch.setenv(name, value)
    settings = Config.fromfile(str(CONFIGS / "retrieval/my-domain_lite.py")).to_dict()
    parsed = parse_settings({k: v for k, v in settings.items() if k != "encoder"})
    assert [source["path"] for source in parsed.pool] == ["mine", "other"]
    assert parsed.query.concepts == "n.txt"
    training = load_config(CONFIGS / "customization/gated-image_lite_my-domain.py")
    found = settings["work_dir"]
    assert [s["path"] for s in training.train_dataloader.dataset.sources] == [
        f"{found}/retrieved",
        f"{found}/samples/general",
    ]
    test = load_config(CONFIGS / "zero_shot_classification/lite_my-domain.py")
    for config in (training, test):
        assert config.val_dataloader.dataset.path == "mine"
        assert config.val_dataloader.dataset.where == {"split": "validation"}
        assert config.test_dataloader.dataset.where == {"split": "test"}


def test_clothing_is_tested_on_the_names_it_is_retrieved_by():
    retrieval = Config.fromfile(str(CONFIGS / "retrieval/real_photos_lite_clothing.py"))
    test = load_config(CONFIGS / "zero_shot_classification/lite_clothing.py")
    assert list(retrieval.query.concepts) == list(test.test_dataloader.dataset.classes)
    assert len(retrieval.query.concepts) == 10
    general = load_config(CONFIGS / "zero_shot_classification/lite_coco-retrieval.py")
    assert general.val_dataloader.dataset.where == {"split": "train"}
    assert general.test_dataloader.dataset.where == {"split": "val"}
