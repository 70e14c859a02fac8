"""The one-stage head: fused scores by numpy, the number of boxes that the VLM sees, refusals."""

import copy

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, roi_align

from tests.dense_models import batch_of, detection_sample, small_detector

NAMES, BASE, NOVEL = ("cat", "dog", "bee"), 0.35, 0.65


def run(model, pair):
    with torch.no_grad():
        return model.test_step(copy.deepcopy(batch_of([pair])))[0].pred_instances


def by_hand(model, image, best):
    """Boxes, fused scores (n, C) and centerness of the best cells, in numpy from the raw maps."""
    with torch.no_grad():
        x = model.extract_feat(image)
        logits, deltas, centres = model.bbox_head(x)
        dense = model.backbone.dense_embedding(image)
    rows = [[], [], []]
    levels = zip((8, 16), zip(logits, deltas, centres, strict=True), strict=True)
    for stride, maps in levels:
        score, delta, centre = (m[0].double().numpy() for m in maps)
        for i in range(score.shape[1]):
            for j in range(score.shape[2]):
                # ATSS's anchors: squares of 3 strides around the cell's corner (mmdet: offset 0).
                cx, cy, side = j * stride, i * stride, 3 * stride
                dx, dy, dw, dh = delta[:, i, j] * np.array([0.1, 0.1, 0.2, 0.2])
                x0, y0 = cx + dx * side, cy + dy * side
                w, h = side * np.exp(dw), side * np.exp(dh)
                box = np.array([x0 - w / 2, y0 - h / 2, x0 + w / 2, y0 + h / 2])
                limit = image.shape[3], image.shape[2], image.shape[3], image.shape[2]
                rows[0].append(np.clip(box, 0, limit))
                rows[1].append(1 / (1 + np.exp(-score[:, i, j])))
                rows[2].append(1 / (1 + np.exp(-centre[0, i, j])))
    boxes, own, centre = (np.array(r) for r in rows)
    order = np.argsort(-own.max(1) * centre)[:best]
    boxes, own, centre = boxes[order], own[order], centre[order]
    dense = dense / dense.norm(dim=1, keepdim=True)
    rois = torch.tensor(np.concatenate([np.zeros((best, 1)), boxes], 1), dtype=torch.float32)
    pooled = roi_align(dense, rois, 7, 1 / 16, 0, aligned=True).mean(dim=(2, 3)).double().numpy()
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    vlm = np.exp(pooled @ model.class_embeddings.double().numpy().T / 0.01)
    vlm /= vlm.sum(1, keepdims=True)
    w = np.array([BASE, BASE, NOVEL])
    return boxes, own ** (1 - w) * vlm**w, centre


def test_predictions_are_the_fused_scores_of_the_best_boxes(tmp_path):
    model = small_detector(tmp_path, kind="atss", base=("cat", "dog"))
    pair = detection_sample(64, 96)
    found = run(model, pair)
    image = model.data_preprocessor(copy.deepcopy(batch_of([pair])))["inputs"]
    boxes, fused, centre = by_hand(model, image, model.bbox_head.vlm_boxes)
    n, classes = fused.shape
    scores = torch.tensor((fused * centre[:, None]).reshape(-1), dtype=torch.float32)
    labels = torch.arange(classes).repeat(n)
    flat = torch.tensor(boxes.repeat(classes, axis=0), dtype=torch.float32)
    kept = batched_nms(flat, scores, labels, 0.6)[:40]
    torch.testing.assert_close(found.scores, scores[kept], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.bboxes, flat[kept], rtol=0, atol=1e-2)
    assert torch.equal(found.labels, labels[kept])


@pytest.mark.parametrize("boxes", [1, 7, 10_000])
def test_the_vlm_sees_no_more_boxes_than_asked(tmp_path, boxes):
    model = small_detector(tmp_path, kind="atss", bbox_head=dict(vlm_boxes=boxes))
    seen = []
    pool = model.backbone.pool_regions
    model.backbone.pool_regions = lambda d, rois, bins: (
        seen.append(len(rois)) or pool(d, rois, bins)
    )
    run(model, detection_sample(64, 96))
    cells = 12 * 8 + 6 * 4  # strides 8 and 16
    assert seen == [min(boxes, cells)]


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="activation='sigmoid'"):
        wrong = dict(score_combiner=dict(activation="softmax"))
        small_detector(tmp_path, kind="atss", bbox_head=wrong)
    with pytest.raises(ValueError, match="vlm_boxes"):
        small_detector(tmp_path, kind="atss", bbox_head=dict(vlm_boxes=0))
