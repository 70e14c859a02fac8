"""Semantic data sets: classes, labels, what is refused."""

import numpy as np
import pytest
from PIL import Image

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.segmentation import ConceptSegDataset, VOC20Dataset


def write(folder):
    (folder / "concepts.txt").write_text("cat\nbee; honey bee\ndog\n")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    label = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    Image.fromarray(np.zeros((2, 2, 3), dtype=np.uint8)).save(folder / "images" / "a.png")
    Image.fromarray(label).save(folder / "labels" / "a.png")
    return label


def build(folder, **options):
    return ConceptSegDataset(
        concepts=str(folder / "concepts.txt"),
        data_prefix=dict(img_path=str(folder / "images"), seg_map_path=str(folder / "labels")),
        **options,
    )


def test_labels_are_background_and_concepts(tmp_path):
    from mmseg.datasets.transforms import LoadAnnotations

    label = write(tmp_path)
    data = build(tmp_path, novel=["bee"])
    assert data.metainfo["classes"] == ("background", "cat", "bee", "dog")
    assert data.metainfo["novel_classes"] == ("bee",)
    assert data.metainfo["base_classes"] == ("cat", "dog")
    assert data.metainfo["synonyms"]["bee"] == ("honey bee",)
    read = LoadAnnotations()(data.get_data_info(0))
    np.testing.assert_array_equal(read["gt_seg_map"], label)


def test_unknown_novel_name_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="did you mean bee"):
        build(tmp_path, novel=["beee"])


def test_voc20_leaves_out_the_background(tmp_path):
    from mmseg.datasets import PascalVOCDataset
    from mmseg.datasets.transforms import LoadAnnotations

    write(tmp_path)
    (tmp_path / "val.txt").write_text("a\n")
    data = VOC20Dataset(
        ann_file=str(tmp_path / "val.txt"),
        img_suffix=".png",
        data_prefix=dict(img_path=str(tmp_path / "images"), seg_map_path=str(tmp_path / "labels")),
    )
    own, voc = data.metainfo["classes"], PascalVOCDataset.METAINFO["classes"]
    assert [name.replace(" ", "") for name in own] == list(voc[1:])
    read = LoadAnnotations()(data.get_data_info(0))
    np.testing.assert_array_equal(read["gt_seg_map"], [[255, 0], [1, 2]])
