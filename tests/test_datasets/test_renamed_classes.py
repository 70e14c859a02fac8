"""The shipped synonyms fit COCO's class names, and no name stands for two classes."""

import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.base_novel import OV_COCO_BASE, OV_COCO_NOVEL
from react_mm.datasets.renamed_classes import read_synonyms, renamed_classes, shipped_lists


def test_shipped_list_names_cocos_classes():
    from mmdet.datasets import CocoDataset

    assert shipped_lists() == ("coco",)
    found = read_synonyms("coco")
    assert found.names == CocoDataset.METAINFO["classes"]
    assert all(len(found.synonyms[name]) >= 2 for name in found.names)
    assert {*OV_COCO_BASE, *OV_COCO_NOVEL} <= set(found.names)


def test_every_name_is_new():
    """No synonym is a class's name or another's synonym, in any of the columns."""
    found = read_synonyms("coco")
    names = [one.lower() for name in found.names for one in found.all_names(name)]
    assert len(names) == len(set(names))
    for which in (1, 2, 3):
        renamed = renamed_classes(found, OV_COCO_NOVEL, which)
        assert list(renamed) == list(OV_COCO_NOVEL)
        assert not set(renamed.values()) & set(found.names)
        assert len(set(renamed.values())) == 17


def test_columns_and_refusals(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("bee; honey bee; bumblebee\nwasp; yellow jacket\ncat\n")
    found = read_synonyms(path)
    assert renamed_classes(found, ["wasp", "bee"]) == {"wasp": "yellow jacket", "bee": "honey bee"}
    assert renamed_classes(found, ["wasp", "bee"], 2)["bee"] == "bumblebee"
    assert renamed_classes(found, ["wasp"], 5) == {"wasp": "yellow jacket"}
    with pytest.raises(ValueError, match="none for class 'cat'"):
        renamed_classes(found, ["cat"])
    with pytest.raises(ValueError, match="none for class 'was'; did you mean wasp"):
        renamed_classes(found, ["was"])
    with pytest.raises(ValueError, match="counted from 1"):
        renamed_classes(found, ["bee"], 0)
    with pytest.raises(FileNotFoundError, match="shipped: coco"):
        read_synonyms("cocoo")
    path.write_text("bee; stinger\nwasp; Stinger\n")
    with pytest.raises(ValueError, match="'Stinger' stands for 'bee' and 'wasp'"):
        read_synonyms(path)
