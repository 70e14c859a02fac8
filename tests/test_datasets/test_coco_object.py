"""Label maps from COCO's masks: order of ids, overlaps, crowds, and a second run."""

import json

import numpy as np
import pytest
from PIL import Image

from react_mm.datasets.coco_object import convert_coco_object


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def entry(number, category, segmentation, area, crowd=0):
    return dict(
        id=number,
        image_id=7,
        category_id=category,
        segmentation=segmentation,
        area=area,
        iscrowd=crowd,
        bbox=[0, 0, 1, 1],
    )


def test_maps_by_hand(tmp_path):
    crowd = dict(size=[8, 10], counts=[0, 80])  # everything
    content = dict(
        images=[
            dict(id=7, file_name="a.jpg", height=8, width=10),
            dict(id=8, file_name="b.jpg", height=4, width=4),
        ],
        categories=[dict(id=5, name="dog"), dict(id=2, name="cat")],
        annotations=[
            entry(1, 2, square(1, 1, 2), 4),  # the smaller one, in front though first
            entry(2, 5, square(0, 0, 5), 25),
            entry(3, 5, crowd, 80, crowd=1),
        ],
    )
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    assert convert_coco_object(path, tmp_path / "maps", progress=False) == 2
    expected = np.full((8, 10), 255)
    expected[:5, :5] = 2
    expected[1:3, 1:3] = 1
    found = np.asarray(Image.open(tmp_path / "maps" / "a_instanceTrainIds.png"))
    np.testing.assert_array_equal(found, expected)
    empty = np.asarray(Image.open(tmp_path / "maps" / "b_instanceTrainIds.png"))
    np.testing.assert_array_equal(empty, np.zeros((4, 4)))
    assert convert_coco_object(path, tmp_path / "maps", progress=False) == 0


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="instances.json does not exist"):
        convert_coco_object(tmp_path / "instances.json", tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match="no field 'images'"):
        convert_coco_object(tmp_path / "x.json", tmp_path)
