"""The order of classes, and what is refused."""

import json

import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.base_novel import base_only
from react_mm.datasets.detection import OpenVocabularyCocoDataset
from tests.coco_files import NOVEL, coco, random_boxes, write_coco


def dataset(path, **options):
    options.setdefault("test_mode", True)
    return OpenVocabularyCocoDataset(
        ann_file=str(path), data_prefix=dict(img=str(path.parent / "images")), **options
    )


def test_labels_follow_sorted_ids_and_classes_follow_labels(tmp_path):
    boxes = random_boxes()
    data = dataset(write_coco(tmp_path, boxes), novel=NOVEL)
    assert data.metainfo["classes"] == ("cat", "wasp", "dog", "bee")
    assert data.metainfo["base_classes"] == ("cat", "dog")
    assert data.metainfo["novel_classes"] == ("wasp", "bee")
    for i, own in enumerate(boxes):
        labels = [instance["bbox_label"] for instance in data.get_data_info(i)["instances"]]
        assert [data.metainfo["classes"][label] for label in labels] == [name for name, *_ in own]


def test_classes_asked_for_in_another_order_are_put_in_order(tmp_path):
    path = write_coco(tmp_path, random_boxes())
    data = dataset(path, metainfo=dict(classes=("bee", "dog", "cat")), novel=("bee",))
    assert data.metainfo["classes"] == ("cat", "dog", "bee")
    shown = {
        data.metainfo["classes"][instance["bbox_label"]]
        for i in range(len(data))
        for instance in data.get_data_info(i)["instances"]
    }
    assert shown == {"cat", "dog", "bee"}


def test_unknown_classes_are_refused(tmp_path):
    path = write_coco(tmp_path, random_boxes())
    with pytest.raises(ValueError, match=r"no categories \['hound'\].*the file has 4"):
        dataset(path, metainfo=dict(classes=("cat", "hound")))
    with pytest.raises(ValueError, match="did you mean wasp"):
        dataset(path, novel=("wesp",))


def test_base_only_training_file(tmp_path):
    path = write_coco(tmp_path, random_boxes())
    with pytest.raises(ValueError, match=r"holds \d+ boxes of novel classes \(bee, wasp\)"):
        dataset(path, novel=NOVEL, only_base=True)
    path.write_text(json.dumps(base_only(coco(random_boxes()), ("cat", "dog"))[0]))
    data = dataset(path, novel=NOVEL, only_base=True)
    assert data.metainfo["classes"] == data.metainfo["base_classes"] == ("cat", "dog")
    assert data.metainfo["novel_classes"] == ()


def test_base_only_file_that_still_lists_novel_categories(tmp_path):
    """Novel categories without boxes are no classes to train on."""
    kept = [[box for box in own if box[0] not in NOVEL] for own in random_boxes()]
    data = dataset(write_coco(tmp_path, kept), novel=NOVEL, only_base=True)
    assert data.metainfo["classes"] == ("cat", "dog")


def test_synonyms_come_from_the_concept_file(tmp_path):
    (tmp_path / "concepts.txt").write_text("dog; hound\nbee\n")
    data = dataset(write_coco(tmp_path, random_boxes()), concepts=str(tmp_path / "concepts.txt"))
    assert data.metainfo["synonyms"]["dog"] == ("hound",)
    assert data.metainfo["synonyms"]["cat"] == ()


def test_file_without_categories_or_with_twins(tmp_path):
    path = write_coco(tmp_path, random_boxes())
    content = coco(random_boxes())
    path.write_text(json.dumps({**content, "categories": []}))
    with pytest.raises(ValueError, match="no categories"):
        dataset(path)
    content["categories"][0]["name"] = "cat"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="stand twice.*cat"):
        dataset(path)


def test_all_classes_novel(tmp_path):
    """Zero-shot: nothing was trained on any class of the file, or of those asked for."""
    path = write_coco(tmp_path, random_boxes())
    data = dataset(path, novel="all")
    assert data.metainfo["novel_classes"] == ("cat", "wasp", "dog", "bee")
    assert data.metainfo["base_classes"] == ()
    data = dataset(path, novel="all", metainfo=dict(classes=("bee", "cat")))
    assert data.metainfo["novel_classes"] == data.metainfo["classes"] == ("cat", "bee")
    with pytest.raises(ValueError, match="no base class to train on"):
        dataset(path, novel="all", only_base=True)
