"""Fused scores of the region head against numpy, with both published fusions."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from tests.dense_models import batch_of, detection_sample, small_detector

ROIS = torch.tensor([[0.0, 5, 5, 40, 50], [0.0, 20, 10, 90, 60], [0.0, 0, 0, 96, 64]])


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def forward(model, rois=ROIS):
    data = model.data_preprocessor(batch_of([detection_sample(64, 96)]))
    with torch.no_grad():
        x = model.extract_feat(data["inputs"])
        return data["inputs"], x, model.roi_head._bbox_forward(x, rois)


def vlm_by_hand(model, images, bins, temperature):
    """RoIAlign of normalised cells, mean, cosine: nothing of react_mm but the dense embedding."""
    with torch.no_grad():
        dense = model.backbone.dense_embedding(images)
    dense = dense / dense.norm(dim=1, keepdim=True)
    pooled = roi_align(dense, ROIS, bins, 1 / 16, 0, aligned=True).mean(dim=(2, 3)).numpy()
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    classes = model.class_embeddings.numpy()
    return softmax(pooled @ classes.T / temperature)


@pytest.mark.parametrize("kind", ["fvlm", "fvit"])
def test_what_leaves_the_head_is_the_published_fusion(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    images, x, out = forward(model)
    head = model.roi_head.bbox_head
    with torch.no_grad():
        cosines = head(model.roi_head.bbox_roi_extractor(x[:2], ROIS))[0] * head.fc_cls.temperature
    learned = float(head.fc_cls.temperature.detach())
    if kind == "fvlm":
        base, novel, own, vlm = 0.35, 0.65, 0.01, vlm_by_hand(model, images, 7, 0.01)
    else:
        base, novel, own, vlm = 0.1, 0.8, learned, vlm_by_hand(model, images, 1, 1 / 75)
    detector = softmax(cosines.double().numpy() / own)
    w = np.array([base, base, novel])  # cat and dog are base classes, bee is novel
    fused = detector[:, :-1] ** (1 - w) * vlm**w
    rest = 1 - fused.sum(-1, keepdims=True)
    if kind == "fvlm":
        rest = detector[:, -1:]
    expected = np.concatenate([fused, np.maximum(rest, 1e-10)], axis=1)
    expected /= expected.sum(-1, keepdims=True)
    # mmdet's box head takes the softmax of what it gets.
    np.testing.assert_allclose(out["cls_score"].softmax(-1).numpy(), expected, atol=1e-4)


def test_training_sees_the_detectors_own_logits(tmp_path):
    model = small_detector(tmp_path)
    _, x, fused = forward(model)
    model.train()
    plain = model.roi_head._bbox_forward(x, ROIS)
    assert "detector_score" not in plain
    assert not torch.allclose(plain["cls_score"], fused["cls_score"])
    torch.testing.assert_close(plain["cls_score"], fused["detector_score"])


def test_no_regions_no_score(tmp_path):
    out = forward(small_detector(tmp_path), ROIS[:0])[2]
    assert out["cls_score"].shape == (0, 4)
