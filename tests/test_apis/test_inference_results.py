"""Plain dicts against pycocotools and by hand."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from react_mm.apis.inference_results import (
    classification_result,
    decode_mask,
    detection_result,
    mask_entry,
    png_of_map,
    read_map,
)


class Sample:
    """What of a DetDataSample is read."""

    def __init__(self, **fields):
        self.pred_instances = InstanceData(**fields)


def ragged_mask(height=37, width=53, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((height, width)) > 0.6


def test_classes_by_hand():
    result = classification_result(torch.tensor([0.0, 2.0, 1.0]), ["a", "b", "c"], top=2)
    total = 1 + np.exp(2) + np.exp(1)
    assert [entry["name"] for entry in result["classes"]] == ["b", "c"]
    assert result["classes"][0]["score"] == pytest.approx(np.exp(2) / total, abs=1e-6)


def test_objects_are_sorted_and_cut():
    sample = Sample(
        bboxes=torch.tensor([[0.0, 0, 2, 2], [1, 1, 5, 6], [2, 2, 3, 3]]),
        scores=torch.tensor([0.2, 0.9, 0.5]),
        labels=torch.tensor([0, 1, 0]),
        masks=torch.from_numpy(np.stack([ragged_mask(seed=s) for s in range(3)])),
    )
    found = detection_result(sample, ["cat", "dog"], 0.5, "rle")["objects"]
    assert [(o["name"], round(o["score"], 3)) for o in found] == [("dog", 0.9), ("cat", 0.5)]
    assert found[0]["box"] == [1, 1, 5, 6]
    for entry, seed in zip(found, (1, 2), strict=True):
        assert (coco_mask.decode(entry["mask"]).astype(bool) == ragged_mask(seed=seed)).all()
    json.dumps(found, allow_nan=False)


def test_nothing_found_is_an_empty_list():
    empty = Sample(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0).long())
    assert detection_result(empty, ["cat"], 0.0, "rle") == {"objects": []}


def test_run_lengths_are_exact():
    mask = ragged_mask()
    entry = mask_entry(mask, "rle")
    assert entry["size"] == [37, 53]
    assert (decode_mask(entry, 37, 53) == mask).all()


def test_polygons_follow_the_outline():
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:20, 10:40] = True
    mask[25:35, 3:9] = True
    outlines = mask_entry(mask, "polygons")
    assert len(outlines) == 2
    again = decode_mask(outlines, 40, 60)
    # polygons run through the centres of the outermost pixels: a rim of one pixel may be missing
    assert not (again & ~mask).any()
    assert (again & mask).sum() > 0.85 * mask.sum()
    assert decode_mask([], 4, 4).sum() == 0


@pytest.mark.parametrize(("classes", "bits"), [(20, np.uint8), (256, np.uint8), (1203, np.uint16)])
def test_maps_keep_every_label(classes, bits):
    labels = np.random.default_rng(0).integers(0, classes, (31, 17))
    labels[0, 0] = classes - 1
    assert (read_map(png_of_map(labels, classes)) == labels).all()
