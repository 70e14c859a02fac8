"""Larger images and boxes beside the pairs."""

import json

import numpy as np
import pytest
import torch

from react_mm.datasets import (
    CachedPairDataset,
    DenseCachedPairDataset,
    DensePairDataset,
    PairDataset,
)
from tests.pair_shards import write_shard

PIPELINE = [{"type": "react_mm.ResizeCenterCrop", "size": 16}]


@pytest.fixture
def sources(tmp_path):
    return [{"path": str(write_shard(tmp_path / "a.tar", 3))}]


def same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        equal = torch.equal if isinstance(value, torch.Tensor) else (lambda a, b: a == b)
        assert equal(value, second[key]), key


def test_items_are_the_pairs_with_a_larger_image(sources, tmp_path):
    plain = PairDataset(sources, PIPELINE)
    large = PairDataset(sources, [{"type": "react_mm.ResizeCenterCrop", "size": 48}])
    dense = DensePairDataset(dense_size=48, sources=sources, pipeline=PIPELINE)
    for index in range(3):
        item = dense[(2, index)]
        assert torch.equal(item.pop("dense_inputs"), large[index]["inputs"])
        same(item, plain[(2, index)])


def test_stored_tokens_stand_beside_pixels(sources, tmp_path):
    def encode(images):
        return images.reshape(len(images), 3, -1)[:, :, :5].astype(np.float32)

    options = {"prefix_cache": str(tmp_path / "store"), "sources": sources, "pipeline": PIPELINE}
    cached, dense = CachedPairDataset(**options), DenseCachedPairDataset(dense_size=48, **options)
    before = dense[1]["dense_inputs"]
    for dataset in (cached, dense):
        dataset.fill_prefix_cache(encode, "prefix")
    item = dense[1]
    assert item["inputs"].shape == (3, 5)
    assert torch.equal(item.pop("dense_inputs"), before)
    same(item, cached[1])


def test_boxes_follow_the_centre_crop(sources, tmp_path):
    plain = PairDataset(sources, PIPELINE)  # pictures of 50 x 40 pixels
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({plain.key(1): [[0.0, 0.0, 1.0, 0.5], [0.0, 0.2, 0.09, 0.3]]}))
    dense = DensePairDataset(48, boxes=str(file), most_boxes=3, sources=sources, pipeline=PIPELINE)
    boxes = dense[1]["boxes"]
    assert boxes.shape == (3, 4)
    torch.testing.assert_close(boxes[0], torch.tensor([0.0, 0.0, 1.0, 0.5]))
    assert boxes[1:].isnan().all()  # the second lies left of the crop: 5 of 50 pixels are cut
    assert dense[0]["boxes"].isnan().all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nobody": [[0, 0, 1, 1]]}, "no image of the set"),
        ({"a/k000": [[0.5, 0, 0.2, 1]]}, "x1 < x2"),
        ({"a/k000": [[0, 0, 1]]}, "x1 < x2"),
        ([1, 2], "is not"),
    ],
)
def test_bad_boxes_are_refused(sources, tmp_path, content, message):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        DensePairDataset(48, boxes=str(file), sources=sources, pipeline=PIPELINE)
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        DensePairDataset(48, boxes=str(tmp_path / "none.json"), sources=sources)
