"""Held-out training images, and the refusal to choose on the test split."""

import json

import pytest
from mmengine.config import Config

from react_mm.chain.settings import HoldOut
from react_mm.chain.splits import TRAIN, VALIDATION, hold_out, training_options, turn_to_validation
from tests.coco_files import NOVEL, coco

BOXES = [[("cat", 1, 1, 9, 9), ("bee", 20, 20, 8, 8)] for _ in range(9)] + [[("wasp", 1, 1, 9, 9)]]


@pytest.fixture
def rule():
    return HoldOut("instances.json", "images/", number=4, seed=0)


def test_train_and_validation_share_no_image_and_no_novel_box_is_trained_on(tmp_path, rule):
    source = tmp_path / "instances.json"
    source.write_text(json.dumps(coco(BOXES)))
    counts = hold_out(source, NOVEL, rule, tmp_path)
    train, held = (json.loads((tmp_path / name).read_text()) for name in (TRAIN, VALIDATION))
    images = [{image["id"] for image in part["images"]} for part in (train, held)]
    assert not images[0] & images[1] and len(images[1]) == 4
    assert counts["validation_images"] == 4
    assert {c["name"] for c in train["categories"]} == {"cat", "dog"}
    assert {c["name"] for c in held["categories"]} == {"cat", "dog", "bee", "wasp"}
    for part, own in zip((train, held), images, strict=True):
        assert {a["image_id"] for a in part["annotations"]} <= own
    of_held = [a for a in coco(BOXES)["annotations"] if a["image_id"] in images[1]]
    assert len(held["annotations"]) == len(of_held)
    again = tmp_path / "again"
    hold_out(source, NOVEL, rule, again)
    assert (again / TRAIN).read_bytes() == (tmp_path / TRAIN).read_bytes()
    with pytest.raises(ValueError, match="instances.json has 10 images: 10 cannot be held back"):
        hold_out(source, NOVEL, HoldOut("a", "b", number=10), tmp_path)


def config(val, test, **more):
    loaders = {"val_dataloader": {"dataset": val}, "test_dataloader": {"dataset": test}}
    evaluator = {"type": "x", "ann_file": "old.json"}
    content = {**loaders, "val_evaluator": {"type": "v"}, "test_evaluator": evaluator, **more}
    return Config(content)


def test_the_config_s_own_validation_split_replaces_the_test_split(tmp_path):
    one = config({"ann_file": "val.json"}, {"ann_file": "test.json"})
    turn_to_validation(one, None, tmp_path)
    assert one.test_dataloader.dataset.ann_file == "val.json" and one.test_evaluator.type == "v"


def test_one_file_for_both_splits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the validation split is the test split.*test.json"):
        turn_to_validation(
            config({"ann_file": "test.json"}, {"ann_file": "test.json"}), None, tmp_path
        )
    with pytest.raises(ValueError, match="no val_dataloader"):
        turn_to_validation(config({}, {}, val_evaluator=None), None, tmp_path)


def test_held_out_images_replace_the_test_split(tmp_path, rule):
    one = config({"ann_file": "test.json"}, {"ann_file": "test.json", "data_prefix": {"img": "t/"}})
    turn_to_validation(one, rule, tmp_path)
    dataset = one.test_dataloader.dataset
    assert dataset.ann_file == one.test_evaluator.ann_file == str(tmp_path / VALIDATION)
    assert dataset.data_prefix.img == "images/"
    options = training_options(one, rule, tmp_path)
    assert options == {"train_dataloader.dataset.ann_file": str(tmp_path / TRAIN)}
    assert training_options(one, None, tmp_path) == {}
    with pytest.raises(ValueError, match="tests on react_mm.ZeroShotDataset"):
        turn_to_validation(config({}, {"type": "react_mm.ZeroShotDataset"}), rule, tmp_path)
