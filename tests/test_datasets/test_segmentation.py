"""Semantic data sets: classes, labels, what is refused."""

import numpy as np
import pytest
from PIL import Image

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.segmentation import ConceptSegDataset


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
    assert data.metainfo["base_classes"] == ("background", "cat", "dog")
    assert data.metainfo["synonyms"]["bee"] == ("honey bee",)
    read = LoadAnnotations()(data.get_data_info(0))
    np.testing.assert_array_equal(read["gt_seg_map"], label)


def test_unknown_novel_name_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="did you mean bee"):
        build(tmp_path, novel=["beee"])


def test_training_sees_the_base_alone(tmp_path):
    from mmseg.datasets.transforms import LoadAnnotations

    write(tmp_path)
    data = build(tmp_path, novel=["bee"], only_base=True)
    assert data.metainfo["classes"] == ("background", "cat", "dog")
    assert data.metainfo["novel_classes"] == ()
    read = LoadAnnotations()(data.get_data_info(0))
    np.testing.assert_array_equal(read["gt_seg_map"], [[0, 1], [255, 2]])


def test_label_zero_may_be_ignored(tmp_path):
    from mmseg.datasets.transforms import LoadAnnotations

    write(tmp_path)
    data = build(tmp_path, background=False, novel=["bee"], only_base=True)
    read = LoadAnnotations()(data.get_data_info(0))
    np.testing.assert_array_equal(read["gt_seg_map"], [[255, 0], [255, 1]])


def test_what_is_not_there_is_named(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="has no images \\*.jpg"):
        build(tmp_path, img_suffix=".jpg")
    with pytest.raises(ValueError, match="a.png has no label map .*a_mask.png"):
        build(tmp_path, seg_map_suffix="_mask.png")
    with pytest.raises(ValueError, match="all of the 3 classes"):
        build(tmp_path, novel=["cat", "bee", "dog"])
    with pytest.raises(FileNotFoundError, match="pictures does not exist"):
        (tmp_path / "images").rename(tmp_path / "elsewhere")
        ConceptSegDataset(
            concepts=str(tmp_path / "concepts.txt"),
            data_prefix=dict(img_path=str(tmp_path / "pictures")),
        )
