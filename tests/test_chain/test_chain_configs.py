"""The shipped chains: their parts fit each other, and build unreduced on the meta device."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from react_mm.chain import plan
from react_mm.chain.settings import load_settings
from react_mm.datasets.base_novel import OV_COCO_NOVEL
from react_mm.engine.configuration import load_config
from react_mm.models.losses import RegionDistillation
from react_mm.prompts import read_concepts


@pytest.fixture(scope="module")
def settings(repository):
    return load_settings(repository / "configs" / "chain" / "ov-coco_clip-vit-b16.py")


def test_every_chain_is_tested(repository):
    found = {path.name for path in (repository / "configs" / "chain").glob("*.py")}
    assert found == {"toy.py", "ov-coco_clip-vit-b16.py"}


def test_ov_coco_s_parts_fit_each_other(settings):
    plan.check(settings)
    names = read_concepts(settings.names)
    assert names.names == OV_COCO_NOVEL and len(names) == 17
    assert set(plan.renamed(names.names, settings.synonyms)) == set(OV_COCO_NOVEL)
    retrieval = plan.retrieval_settings(settings)
    detector = load_config(settings.detector.config)
    for part in ("image_tower", "text_tower"):
        assert retrieval["encoder"][part]["arch"] == detector.model.backbone.arch
        assert retrieval["encoder"][part]["pretrained"] == detector.model.backbone.pretrained
    held_out = retrieval["select"]["held_out"]
    prefix = detector.test_dataloader.dataset.data_prefix.img
    root = detector.test_dataloader.dataset.data_root
    assert f"{root}{prefix}".rstrip("/") in held_out, "test images may come back from the pool"
    assert settings.detector.hold_out.number == 2000 and settings.resume


def test_without_held_out_images_ov_coco_would_choose_on_its_test_split(repository):
    path = repository / "configs" / "chain" / "ov-coco_clip-vit-b16.py"
    with pytest.raises(ValueError, match="the validation split is the test split"):
        plan.check(load_settings(path, {"detector.hold_out": None}))


@pytest.mark.parametrize("arm", ["customized", "dense"])
def test_ov_coco_s_customizations_build_unreduced(settings, arm):
    config = load_config(settings.customization[arm].config)
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    # six gated blocks of REACT's size, and the temperature where it is trained
    assert 6 * 7_087_874 <= trained <= 6 * 7_087_874 + 1
    assert plan.sets_of(config) == ["retrieved", "general"]
    loader = config.train_dataloader
    assert loader.batch_size == 256
    regions = [r for r in model.regularizers if isinstance(r, RegionDistillation)]
    assert len(regions) == (arm == "dense") and len(model.regularizers) == 1 + len(regions)
    assert loader.dataset.get("dense_size", 448) == 448


def test_the_retrieval_s_own_names_are_the_chain_s(repository, settings):
    config = Config.fromfile(str(settings.retrieval.config))
    assert repository / config.query.concepts == repository / "configs/chain/ov-coco_novel.txt"
    assert plan.parsed_retrieval(settings).sample[0].number == 10_000
