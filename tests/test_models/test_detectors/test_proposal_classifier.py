"""Proposals against scores and NMS written out with numpy."""

import copy

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from tests.dense_models import batch_of, detection_sample, small_gt_box_classifier


def with_proposals(height, width, seed=0, count=6):
    image, sample = detection_sample(height, width, seed=seed, boxes=count)
    boxes = sample.gt_instances.bboxes
    near = boxes + torch.tensor([1.0, 0, 2, 1])  # overlapping twins
    scores = torch.rand(2 * count, generator=torch.Generator().manual_seed(seed))
    sample.proposals = InstanceData(bboxes=torch.cat([boxes, near]), scores=scores)
    del sample.gt_instances  # nothing of the truth is read
    return image, sample


def classifier(folder, **changes):
    # warmer than the protocol's .01, at which random towers are sure of everything
    options = dict(temperature=0.3, **changes)
    return small_gt_box_classifier(folder, base="proposals.py", **options)


def predict(model, pairs):
    return [s.pred_instances for s in model.test_step(copy.deepcopy(batch_of(pairs)))]


def overlap(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod(np.clip(high - low, 0, None))
    area = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])
    return common / (area - common)


def by_hand(boxes, probability, objectness, threshold, most):
    """Square root of the product, NMS of each class at .5, the best of all classes."""
    kept = []
    for label in range(probability.shape[1]):
        scores = np.sqrt(probability[:, label] * objectness)
        taken = []
        for row in np.argsort(-scores, kind="stable"):
            if scores[row] > threshold and all(overlap(boxes[row], boxes[t]) <= 0.5 for t in taken):
                taken.append(row)
        kept += [(scores[row], label, row) for row in taken]
    return sorted(kept, reverse=True)[:most]


@pytest.mark.parametrize(("mode", "most"), [("roi", 100), ("crop", 5)])
def test_scores_and_nms_by_hand(tmp_path, mode, most):
    model = classifier(tmp_path, mode=mode, max_per_img=most, score_thr=0.05)
    image, sample = with_proposals(70, 100, seed=1)
    (result,) = predict(model, [(image, sample)])
    x = model.data_preprocessor(batch_of([(image, sample)]))["inputs"]
    boxes, objectness = sample.proposals.bboxes, sample.proposals.scores
    with torch.no_grad():
        (probability,) = model.box_scores(x, [boxes])
    assert probability.max() < 0.95 and probability.std(dim=0).min() > 1e-4
    expected = by_hand(boxes.numpy(), probability.numpy(), objectness.numpy(), 0.05, most)
    assert 5 <= len(expected) < 12 * 3 and len(result) == len(expected)
    scores, labels, rows = map(np.array, zip(*expected, strict=True))
    np.testing.assert_allclose(result.scores.numpy(), scores, atol=1e-5)
    assert result.labels.tolist() == labels.tolist()
    np.testing.assert_allclose(result.bboxes.numpy(), boxes.numpy()[rows])


def test_padded_batch_equals_single_images(tmp_path):
    model = classifier(tmp_path)
    pairs = [with_proposals(70, 100, seed=1), with_proposals(96, 50, seed=2, count=3)]
    for both, pair in zip(predict(model, pairs), pairs, strict=True):
        (alone,) = predict(model, [pair])
        assert torch.equal(both.labels, alone.labels)
        torch.testing.assert_close(both.scores, alone.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(both.bboxes, alone.bboxes)


def test_boxes_come_back_in_original_pixels(tmp_path):
    model = classifier(tmp_path)
    image, sample = with_proposals(64, 64)
    (plain,) = predict(model, [(image, sample)])
    sample.set_metainfo(dict(scale_factor=(2.0, 4.0)))
    (scaled,) = predict(model, [(image, sample)])
    factors = torch.tensor([2.0, 4, 2, 4])
    # NMS sees another aspect: compare what both keep first
    torch.testing.assert_close(scaled.bboxes[0] * factors, plain.bboxes[0])


def test_either_arm_alone(tmp_path):
    image, sample = with_proposals(70, 100, seed=1)
    options = dict(score_thr=0.0, nms_iou=1.0, max_per_img=1000)
    (classes,) = predict(classifier(tmp_path, class_weight=1.0, **options), [(image, sample)])
    (objects,) = predict(classifier(tmp_path, class_weight=0.0, **options), [(image, sample)])
    x = classifier(tmp_path).data_preprocessor(batch_of([(image, sample)]))["inputs"]
    with torch.no_grad():
        (probability,) = classifier(tmp_path).box_scores(x, [sample.proposals.bboxes])
    expected = probability.flatten()[probability.flatten() > 0].sort(descending=True).values
    torch.testing.assert_close(classes.scores, expected, rtol=0, atol=1e-5)
    best = sample.proposals.scores.sort(descending=True).values.repeat_interleave(3)
    torch.testing.assert_close(objects.scores, best)


def test_no_proposals(tmp_path):
    model = classifier(tmp_path)
    image, sample = with_proposals(64, 64)
    empty = copy.deepcopy(sample)
    empty.proposals = sample.proposals[:0]
    assert [len(p) for p in predict(model, [(image, empty)])] == [0]
    del sample.proposals
    with pytest.raises(ValueError, match="react_mm.LoadProposals"):
        predict(model, [(image, sample)])
    with pytest.raises(ValueError, match="class_weight must lie in"):
        classifier(tmp_path, class_weight=1.5)
    with pytest.raises(NotImplementedError, match="ProposalClassifier is training-free"):
        model.loss(None, [])
