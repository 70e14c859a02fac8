"""Novel objects as ignored places: no name, no label, no category leaks into training."""

import json

import numpy as np
import pytest

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.datasets.base_novel import base_only
from react_mm.datasets.detection import OpenVocabularyCocoDataset
from react_mm.datasets.ignore_regions import FIELD, LABEL, ignored_instances, novel_regions
from tests.coco_files import NOVEL, coco, random_boxes, write_coco

PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="mmdet.Resize", scale=(128, 96), keep_ratio=True),
    dict(type="mmdet.RandomFlip", prob=1.0),
    dict(type="mmdet.PackDetInputs"),
]


def write_both(folder, boxes):
    """The full file and the base-only one with regions."""
    full = write_coco(folder, boxes)
    converted, counts = base_only(coco(boxes), ("cat", "dog"), ignored=NOVEL)
    base = folder / "base.json"
    base.write_text(json.dumps(converted))
    return full, base, counts


def dataset(path, **options):
    return OpenVocabularyCocoDataset(
        ann_file=str(path),
        data_prefix=dict(img=str(path.parent / "images")),
        novel=NOVEL,
        only_base=True,
        **options,
    )


def test_converted_file_keeps_places_and_nothing_else(tmp_path):
    boxes = random_boxes()
    _, base, counts = write_both(tmp_path, boxes)
    text = base.read_text()
    assert not any(name in text for name in NOVEL)
    content = json.loads(text)
    assert {c["name"] for c in content["categories"]} == {"cat", "dog"}
    used = {image["id"] for image in content["images"]}
    places = [(i + 1, *box[1:]) for i, own in enumerate(boxes) for box in own if box[0] in NOVEL]
    places = [place for place in places if place[0] in used]
    assert [(r["image_id"], *r["bbox"]) for r in content[FIELD]] == places
    assert all(set(region) == {"image_id", "bbox"} for region in content[FIELD])
    assert counts["boxes_as_ignore_regions"] == len(places) > 5


@pytest.mark.parametrize("source", ["own field", "full file"])
def test_dataset_gives_ignored_boxes_without_names(tmp_path, source):
    boxes = random_boxes()
    full, base, _ = write_both(tmp_path, boxes)
    data = dataset(
        base, ignore_novel=True if source == "own field" else str(full), pipeline=PIPELINE
    )
    assert data.metainfo["classes"] == ("cat", "dog") and data.metainfo["novel_classes"] == ()
    assert not any(name in json.dumps(data.metainfo) for name in NOVEL)
    seen = 0
    for i in range(len(data)):
        own = boxes[data.get_data_info(i)["img_id"] - 1]
        sample = data[i]["data_samples"]
        taught, ignored = sample.gt_instances, sample.ignored_instances
        assert set(taught.labels.tolist()) <= {0, 1}
        assert len(taught) == sum(box[0] not in NOVEL for box in own)
        assert ignored.labels.tolist() == [LABEL] * len(ignored)
        expected = np.array([box[1:] for box in own if box[0] in NOVEL]).reshape(-1, 4)
        x, y, w, h = expected.T
        expected = 2 * np.stack([64 - x - w, y, 64 - x, y + h], axis=1)  # resized, flipped
        np.testing.assert_allclose(ignored.bboxes.tensor, expected, atol=1e-3)
        masks = ignored.masks.to_ndarray()
        np.testing.assert_array_equal(masks.sum((1, 2)), 4 * w * h)
        seen += len(ignored)
    assert seen > 5
    assert {label for i in range(len(data)) for label in data.get_cat_ids(i)} == {0, 1}


def test_mmdets_head_neither_teaches_nor_samples_them(tmp_path):
    """With ``ignore_iof_thr`` anchors on novel objects are left out, else background."""
    import torch
    from mmdet.models.task_modules import MaxIoUAssigner
    from mmengine.structures import InstanceData

    _, base, _ = write_both(tmp_path, random_boxes())
    data = dataset(base, ignore_novel=True, pipeline=PIPELINE)
    samples = [data[i]["data_samples"] for i in range(len(data))]
    sample = next(s for s in samples if len(s.ignored_instances) and len(s.gt_instances))
    taught = InstanceData(
        bboxes=sample.gt_instances.bboxes.tensor, labels=sample.gt_instances.labels
    )
    ignored = InstanceData(bboxes=sample.ignored_instances.bboxes.tensor)
    anchors = InstanceData(priors=torch.cat([taught.bboxes, ignored.bboxes]))
    for threshold, expected in ((0.5, -1), (-1, 0)):
        assigner = MaxIoUAssigner(0.7, 0.3, 0.3, ignore_iof_thr=threshold)
        found = assigner.assign(anchors, taught, ignored).gt_inds
        assert (found[: len(taught)] > 0).all()
        assert (found[len(taught) :] == expected).all()


def test_places_outside_the_image_or_of_other_images_are_left_out():
    regions = [
        dict(image_id=1, bbox=[60, 40, 20, 20]),  # reaches over the edge: stays
        dict(image_id=1, bbox=[70, 2, 5, 5]),  # outside
        dict(image_id=1, bbox=[1, 1, 0.5, 9]),  # under a pixel
        dict(image_id=9, bbox=[1, 1, 9, 9]),
    ]
    found = ignored_instances(regions, {1: (48, 64)})
    assert list(found) == [1] and [i["bbox"] for i in found[1]] == [[60, 40, 80, 60]]
    assert novel_regions(coco([]), NOVEL, [1]) == []


def test_wrong_uses_are_refused(tmp_path):
    full, base, _ = write_both(tmp_path, random_boxes())
    with pytest.raises(ValueError, match="set only_base=True"):
        OpenVocabularyCocoDataset(ann_file=str(full), novel=NOVEL, ignore_novel=True)
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(base_only(coco(random_boxes()), ("cat", "dog"))[0]))
    with pytest.raises(ValueError, match="no field 'ignore_regions'.*--novel-as-ignore"):
        dataset(plain, ignore_novel=True)
    other = coco(random_boxes())
    for image in other["images"]:
        image["id"] += 100
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="none of the images"):
        dataset(plain, ignore_novel=str(tmp_path / "other.json"))
    with pytest.raises(ValueError, match="no categories.*bee"):
        dataset(plain, ignore_novel=str(base))
    with pytest.raises(ValueError, match="cannot be ignored"):
        base_only(coco(random_boxes()), ("cat", "dog"), ignored=("dog",))
