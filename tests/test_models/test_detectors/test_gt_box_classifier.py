"""GT-box classification against pooling by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.dense_models import batch_of, detection_sample, small_gt_box_classifier


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
