"""OV-LVIS: the split from `frequency`, counts by name, paths, and base-only files."""

import json

import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.base_novel import base_only, check_lvis_v1, rare_classes, read_names
from react_mm.datasets.lvis_detection import OpenVocabularyLVISDataset
from tests.lvis_files import BOXES, lvis, write_lvis

CLASSES = ("bow_(weapon)", "dog", "bee", "cat")  # by id


def dataset(path, **options):
    options.setdefault("test_mode", True)
    return OpenVocabularyLVISDataset(
        ann_file=str(path), data_prefix=dict(img=str(path.parent)), **options
    )


def many(frequent, common, rare):
    """A file of one image, with so many classes."""
    frequencies = "f" * frequent + "c" * common + "r" * rare
    categories = [dict(id=i, name=f"c{i}", frequency=f) for i, f in enumerate(frequencies, 1)]
    box = dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81)
    image = dict(id=1, height=48, width=64, file_name="1.jpg")
    return dict(images=[image], annotations=[box], categories=categories)


def test_rare_classes_are_novel_and_labels_follow_ids(tmp_path):
    data = dataset(write_lvis(tmp_path), pipeline=[dict(type="LoadImageFromFile")])
    assert data.metainfo["classes"] == CLASSES
    assert data.metainfo["novel_classes"] == ("bow_(weapon)", "bee")
    assert data.metainfo["base_classes"] == ("dog", "cat")
    shown = [
        (i + 1, data.metainfo["classes"][instance["bbox_label"]], *instance["bbox"][:2])
        for i in range(len(data))
        for instance in data.get_data_info(i)["instances"]
    ]
    assert shown == [box[:4] for box in BOXES]
    assert data[0]["img"].shape == (48, 64, 3), "the path comes from coco_url"
    assert "synonyms" not in data.metainfo


def test_synonyms_of_the_file(tmp_path):
    data = dataset(write_lvis(tmp_path), file_synonyms=True)
    assert data.metainfo["synonyms"] == {name: (f"small_{name}",) for name in CLASSES}
    with pytest.raises(ValueError, match="not from both"):
        dataset(write_lvis(tmp_path), file_synonyms=True, concepts="concepts.txt")


def test_lvis_v1_by_name_has_866_and_337(tmp_path):
    right = many(405, 461, 337)
    for name, content, counts in [
        ("lvis_v1_val.json", right, (866, 337)),
        ("lvis_v1_train_base.json", base_only(right, base_of(right))[0], (866, 0)),
        ("mine.json", many(2, 1, 1), (3, 1)),
    ]:
        (tmp_path / name).write_text(json.dumps(content))
        data = dataset(tmp_path / name, only_base="base" in name)
        meta = data.metainfo
        assert (len(meta["base_classes"]), len(meta["novel_classes"])) == counts
    for content in (many(405, 461, 336), many(405, 462, 337), many(405, 460, 0)):
        (tmp_path / "lvis_v1_val.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="LVIS v1 has 866 and 337"):
            dataset(tmp_path / "lvis_v1_val.json")
    check_lvis_v1("lvis_v1_val.json", ["x"] * 866, ["x"] * 337)


def base_of(annotation):
    return [c["name"] for c in annotation["categories"] if c["frequency"] != "r"]


def test_files_without_frequency_or_paths_are_refused(tmp_path):
    content = lvis()
    del content["categories"][2]["frequency"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'bee' has no 'frequency'"):
        dataset(tmp_path / "a.json")
    content = lvis()
    del content["images"][1]["coco_url"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="image 2 has neither file_name nor coco_url"):
        dataset(tmp_path / "a.json")
    with pytest.raises(ValueError, match="read from an LVIS file"):
        read_names("ov-lvis")


def test_base_only_file_keeps_federated_lists_of_base_classes(tmp_path):
    converted, counts = base_only(lvis(), ("cat", "dog"), ignored=("bee", "bow_(weapon)"))
    assert [c["name"] for c in converted["categories"]] == ["dog", "cat"]
    assert {a["category_id"] for a in converted["annotations"]} == {3, 7}
    by_id = {image["id"]: image for image in converted["images"]}
    assert by_id[1]["neg_category_ids"] == [] and by_id[2]["neg_category_ids"] == [7]
    assert by_id[4]["not_exhaustive_category_ids"] == [7]
    assert counts["neg_category_ids_kept"] == 1 and counts["neg_category_ids_dropped"] == 3
    assert lvis()["images"][0]["neg_category_ids"] == [5], "the input must not be changed"
    path = tmp_path / "base.json"
    path.write_text(json.dumps(converted))
    assert "bee" not in path.read_text() and "weapon" not in path.read_text()
    data = dataset(path, only_base=True, ignore_novel=True, test_mode=False)
    assert data.metainfo["classes"] == ("dog", "cat") and data.metainfo["novel_classes"] == ()
    flags = [i["ignore_flag"] for n in range(len(data)) for i in data.get_data_info(n)["instances"]]
    assert sum(flags) == 2 and len(flags) == 7


def test_places_of_rare_objects_from_the_full_file(tmp_path):
    full = write_lvis(tmp_path)
    path = tmp_path / "base.json"
    path.write_text(json.dumps(base_only(lvis(), ("cat", "dog"))[0]))
    data = dataset(path, only_base=True, ignore_novel=str(full), file_synonyms=True)
    flags = [i["ignore_flag"] for n in range(len(data)) for i in data.get_data_info(n)["instances"]]
    assert sum(flags) == 2
    assert set(data.metainfo["synonyms"]) == {"cat", "dog"}
    with pytest.raises(ValueError, match="holds 2 boxes of novel classes"):
        dataset(full, only_base=True)


def test_rare_classes_by_id():
    assert rare_classes(lvis()["categories"]) == ("bow_(weapon)", "bee")
