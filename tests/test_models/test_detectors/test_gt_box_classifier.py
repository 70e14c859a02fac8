"""GT-box classification against pooling by hand, and against crops by PIL and open_clip."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from tests import tiny
from tests.dense_models import batch_of, detection_sample, small_gt_box_classifier

WARM = 0.2  # a temperature at which random towers are not sure of everything
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


def predict(model, pairs):
    return [s.pred_instances for s in model.test_step(copy.deepcopy(batch_of(pairs)))]


def test_whole_cells_by_hand(tmp_path):
    """Boxes of whole cells, one bin per cell: RoIAlign is the mean of the cells."""
    model = small_gt_box_classifier(tmp_path)
    model.roi_size = 2
    image, sample = detection_sample(64, 96, boxes=1)
    sample.gt_instances.bboxes = torch.tensor([[16.0, 32, 48, 64]])  # columns 1-2, rows 2-3
    scores = predict(model, [(image, sample)])[0]
    x = model.data_preprocessor(batch_of([(image, sample)]))["inputs"]
    cells = F.normalize(model.backbone.dense_embedding(x)[0], dim=0)[:, 2:4, 1:3].mean((1, 2))
    expected = (F.normalize(cells, dim=0) @ model.class_embeddings.T / 0.01).softmax(0)
    torch.testing.assert_close(scores.scores[0], expected.max(), rtol=1e-4, atol=1e-5)
    assert scores.labels[0] == expected.argmax()


def test_padded_batch_equals_single_images(tmp_path):
    model = small_gt_box_classifier(tmp_path)
    pairs = [detection_sample(70, 100, seed=1), detection_sample(96, 50, seed=2, boxes=5)]
    together = predict(model, pairs)
    for both, pair in zip(together, pairs, strict=True):
        alone = predict(model, [pair])[0]
        assert torch.equal(both.labels, alone.labels)
        torch.testing.assert_close(both.scores, alone.scores, rtol=0, atol=1e-5)


def test_image_without_boxes_and_missing_boxes(tmp_path):
    model = small_gt_box_classifier(tmp_path)
    empty = detection_sample(64, 64, boxes=0)
    full = detection_sample(64, 64, seed=1, boxes=2)
    assert [len(p) for p in predict(model, [empty, full])] == [0, 2]
    assert [len(p) for p in predict(model, [empty])] == [0]
    image, sample = detection_sample(64, 64)
    del sample.gt_instances
    with pytest.raises(ValueError, match="LoadAnnotations"):
        predict(model, [(image, sample)])


def test_boxes_come_back_in_original_pixels(tmp_path):
    model = small_gt_box_classifier(tmp_path)
    image, sample = detection_sample(64, 64)
    expected = sample.gt_instances.bboxes / 2
    sample.set_metainfo(dict(scale_factor=(2.0, 2.0)))
    torch.testing.assert_close(predict(model, [(image, sample)])[0].bboxes, expected)


def test_training_is_refused(tmp_path):
    with pytest.raises(NotImplementedError, match="training-free"):
        small_gt_box_classifier(tmp_path).loss(None, [])


def crops_by_hand(model, image, boxes, scale):
    """uint8 crops and class probabilities by PIL and open_clip's own tower alone."""
    from PIL import Image

    pixels = np.ascontiguousarray(image.numpy()[::-1].transpose(1, 2, 0))  # BGR to RGB
    height, width = pixels.shape[:2]
    rows = []
    for x1, y1, x2, y2 in boxes.double().tolist():
        cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) * scale, (y2 - y1) * scale
        corners = (
            max(0, math.floor(cx - w / 2)),
            max(0, math.floor(cy - h / 2)),
            min(width, math.ceil(cx + w / 2)),
            min(height, math.ceil(cy + h / 2)),
        )
        crop = Image.fromarray(pixels).crop(corners).resize((64, 64), Image.Resampling.BICUBIC)
        rows.append((np.asarray(crop) / 255 - OPENAI_MEAN) / OPENAI_STD)
    x = torch.tensor(np.stack(rows), dtype=torch.float32).permute(0, 3, 1, 2)
    embeddings = F.normalize(model.backbone.visual(x), dim=-1)  # open_clip's forward, gates hooked
    return (embeddings @ model.class_embeddings.T / WARM).softmax(-1)


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_crop_mode_equals_a_loop_over_crops(tmp_path, scale):
    options = dict(mode="crop", crop_scale=scale, crop_batch_size=3, temperature=WARM)
    model = small_gt_box_classifier(tmp_path, **options)
    pairs = [detection_sample(70, 100, seed=1, boxes=4), detection_sample(33, 51, seed=2, boxes=5)]
    results = predict(model, pairs)
    for (image, sample), result in zip(pairs, results, strict=True):
        expected = crops_by_hand(model, image, sample.gt_instances.bboxes, scale)
        assert torch.equal(result.labels, expected.argmax(-1))
        torch.testing.assert_close(result.scores, expected.amax(-1), rtol=0, atol=1e-5)
        assert result.scores.max() < 0.95 and result.scores.std() > 1e-3
    assert [len(r) for r in predict(model, [detection_sample(64, 64, boxes=0)])] == [0]


def test_modes_differ_and_unknown_ones_are_refused(tmp_path):
    pair = detection_sample(70, 100, seed=1)
    (roi,), (crop,) = (
        predict(small_gt_box_classifier(tmp_path, mode=mode, temperature=WARM), [pair])
        for mode in ("roi", "crop")
    )
    assert (roi.scores - crop.scores).abs().max() > 1e-3
    with pytest.raises(ValueError, match="unknown mode 'rois'; did you mean roi"):
        small_gt_box_classifier(tmp_path, mode="rois")
    with pytest.raises(ValueError, match="crop_scale must be positive"):
        small_gt_box_classifier(tmp_path, crop_scale=0)


def test_a_resnet_pools_regions_by_its_own_attention(tmp_path):
    arch = tiny.write_architecture(
        tmp_path, "box-resnet", vision=dict(image_size=64, layers=[1, 1, 1, 1], width=8)
    )
    tower = dict(type="react_mm.CLIPResNet", arch=arch)
    model = small_gt_box_classifier(tmp_path, tower=tower, temperature=WARM / 10)
    image, sample = detection_sample(90, 128, boxes=3)
    x = model.data_preprocessor(batch_of([(image, sample)]))["inputs"]
    boxes = sample.gt_instances.bboxes
    regions = roi_align(model.backbone.region_map(x), [boxes], 2, 1 / 32, 0, True)
    model.roi_size = 2  # the pooling's own grid: open_clip's code runs it
    pooled = F.normalize(model.backbone.visual.attnpool(regions), dim=-1)
    expected = (10 * pooled @ model.class_embeddings.T / WARM).softmax(-1)
    (result,) = predict(model, [(image, sample)])
    torch.testing.assert_close(result.scores, expected.amax(-1), rtol=0, atol=1e-5)
    assert result.scores.max() < 0.95 and result.scores.std() > 2e-4
    assert torch.equal(result.labels, expected.argmax(-1))
