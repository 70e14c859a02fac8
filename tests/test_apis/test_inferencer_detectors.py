"""The other detectors of the drawn world: one-stage, with masks; models of given boxes."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope

from react_mm.apis import Inferencer
from react_mm.apis.inference_results import decode_mask
from react_mm.engine.configuration import load_config
from tests.inference_toys import CONFIGS, NAMES, picture

DETECTION = CONFIGS / "detection"


def checkpoint(config, path):
    """Random heads as training would save them."""
    config = load_config(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(ConfigDict(config.model))
        model.init_weights()
    meta = dict(dataset_meta=dict(classes=NAMES[:2], base_classes=NAMES[:2]))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


@pytest.mark.parametrize("mask_format", ["rle", "polygons"])
def test_masks_lie_in_their_picture(tmp_path, mask_format):
    config = DETECTION / "mask-rcnn_toy-vit_fpn_toy.py"
    inferencer = Inferencer(
        config,
        checkpoint(config, tmp_path / "iter_1.pth"),
        NAMES,
        options={"model.test_cfg.rcnn.score_thr": 0.0, "model.test_cfg.rcnn.max_per_img": 8},
        mask_format=mask_format,
    )
    pictures = [picture(72, 56), picture(90, 41, 1)]
    together = inferencer(pictures, batch_size=2)
    for image, result in zip(pictures, together, strict=True):
        assert result["objects"]
        for entry in result["objects"]:
            mask = decode_mask(entry["mask"], image.height, image.width)
            assert mask.shape == (image.height, image.width)
            rows, columns = np.nonzero(mask)
            if len(rows):  # a mask lies inside its box, but for the pixel that a border cuts
                x1, y1, x2, y2 = entry["box"]
                assert columns.min() >= x1 - 2 and columns.max() <= x2 + 2
                assert rows.min() >= y1 - 2 and rows.max() <= y2 + 2
        alone = inferencer(image)
        for a, b in zip(alone["objects"], result["objects"], strict=True):
            assert a["name"] == b["name"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_one_stage(tmp_path):
    config = DETECTION / "atss_toy-vit_fpn_toy.py"
    inferencer = Inferencer(
        config,
        checkpoint(config, tmp_path / "iter_1.pth"),
        options={"model.test_cfg.score_thr": 0.0},
    )
    assert inferencer.vocabulary.names == NAMES[:2]
    image = picture()
    first = inferencer(image)["objects"]
    assert first and {entry["name"] for entry in first} <= set(NAMES)
    other = inferencer(image, vocabulary=["moon", "tree", "sun"])["objects"]
    assert {entry["name"] for entry in other} <= {"moon", "tree", "sun"}
    assert inferencer(image)["objects"] == first


@pytest.mark.parametrize("name", ["gt-box", "gt-box-crop", "proposals"])
def test_models_of_given_boxes_are_refused(name):
    with pytest.raises(ValueError, match="given boxes"):
        Inferencer(DETECTION / f"{name}_toy-vit_toy.py", vocabulary=NAMES)
