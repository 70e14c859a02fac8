"""The public sets in their folder formats: labels, seen and unseen, wrong class lists."""

import numpy as np
import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.segmentation_benchmarks import FORMATS, BenchmarkSegDataset
from react_mm.prompts import read_concepts
from react_mm.segmentation_sets import class_file, set_names
from tests.segmentation_files import LAYOUT, PART_NAMES, PARTS, write_set


def build(root, benchmark, part="val", **options):
    image_dir, map_dir, _, _, listed = PARTS[LAYOUT[benchmark][0]]
    named = PART_NAMES.get(benchmark, {}).get(part, part)
    prefix = dict(img_path=image_dir.format(part=named), seg_map_path=map_dir.format(part=named))
    return BenchmarkSegDataset(
        benchmark=benchmark,
        data_root=str(root),
        data_prefix=prefix,
        ann_file=listed.format(part=part) if listed else "",
        **options,
    )


def read_labels(data, index=0):
    from mmseg.datasets.transforms import LoadAnnotations

    return LoadAnnotations()(data.get_data_info(index))["gt_seg_map"]


@pytest.mark.parametrize("benchmark", list(LAYOUT))
def test_labels_are_the_classes(tmp_path, benchmark):
    (stored,) = write_set(tmp_path, benchmark)
    data = build(tmp_path, benchmark)
    labels = read_labels(data)
    known = stored != 255
    if FORMATS[benchmark].reduce_zero_label:
        expected = np.where(known & (stored > 0), stored.astype(int) - 1, 255)
    else:
        expected = np.where(known, stored, 255)
    np.testing.assert_array_equal(labels, expected)
    assert labels[labels != 255].max() == len(data.metainfo["classes"]) - 1
    assert data.metainfo["classes"] == read_concepts(class_file(benchmark)).names
    assert set(FORMATS) == set(LAYOUT) == set(set_names())


def test_unseen_classes_are_ignored_in_training(tmp_path):
    (stored,) = write_set(tmp_path, "voc20", part="train")
    data = build(tmp_path, "voc20", "train", unseen="voc-15-5", only_seen=True)
    names = read_concepts(class_file("voc20")).names
    assert len(data.metainfo["classes"]) == 15
    labels = read_labels(data)
    for old in np.unique(stored):
        name = names[old - 1] if 0 < old <= 20 else None
        new = set(labels[stored == old].tolist())
        if name in data.metainfo["classes"]:
            assert new == {data.metainfo["classes"].index(name)}
        else:
            assert new == {255}
    full = build(tmp_path, "voc20", "train", unseen="voc-15-5")
    assert len(full.metainfo["classes"]) == 20
    assert len(full.metainfo["novel_classes"]) == 5
    assert len(full.metainfo["base_classes"]) == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[::-1],
            "class 1 is 'bicycle', the label of that number is 'road'.*row 19",
        ),
        (lambda rows: [*rows[:5], "traffic lamp", *rows[6:]], "class 6 is 'traffic lamp'.*'pole'"),
        (lambda rows: rows[:-1], "has 18 classes, the set 19: bicycle"),
        (lambda rows: [*rows, "boat"], "has 20 classes, the set 19: boat"),
    ],
)
def test_wrong_class_list_is_refused_by_name(tmp_path, change, message):
    write_set(tmp_path, "cityscapes")
    rows = list(read_concepts(class_file("cityscapes")).names)
    (tmp_path / "names.txt").write_text("\n".join(change(rows)))
    with pytest.raises(ValueError, match=message):
        build(tmp_path, "cityscapes", names=str(tmp_path / "names.txt"))


def test_own_names_beside_the_sets_own(tmp_path):
    write_set(tmp_path, "cityscapes")
    rows = list(read_concepts(class_file("cityscapes")).names)
    rows[0] = "tarmac; road"
    (tmp_path / "names.txt").write_text("\n".join(rows))
    data = build(tmp_path, "cityscapes", names=str(tmp_path / "names.txt"))
    assert data.metainfo["classes"][0] == "tarmac"
    assert data.metainfo["synonyms"]["tarmac"] == ("road",)


def test_wrong_unseen_class_is_refused_by_name(tmp_path):
    write_set(tmp_path, "ade150")
    with pytest.raises(ValueError, match="did you mean .*tower"):
        build(tmp_path, "ade150", unseen=["towr"])
    with pytest.raises(ValueError, match="is of voc20, not of ade150"):
        build(tmp_path, "ade150", unseen="voc-15-5")
