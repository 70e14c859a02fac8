"""The box head: background weight, classes by name, the limit in front of the NMS."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.models.open_vocabulary import OpenVocabulary
from react_mm.models.roi_heads import OpenVocabularyBBoxHead
from tests.dense_towers import HashEmbedder


class Source(OpenVocabulary, torch.nn.Module):
    def __init__(self, names):
        super().__init__()
        self.init_vocabulary(HashEmbedder(8), 8)
        self.set_vocabulary(names)


def head(classes=("cat", "dog", "bee"), **options):
    init_default_scope("mmdet")
    made = OpenVocabularyBBoxHead(
        8,
        in_channels=4,
        fc_out_channels=16,
        roi_feat_size=3,
        num_classes=80,
        reg_class_agnostic=False,
        **options,
    )
    made.follow(Source(classes))
    return made.eval()


def test_boxes_are_class_agnostic_and_classes_the_vocabularys():
    scores, boxes = head()(torch.randn(5, 4, 3, 3))
    assert scores.shape == (5, 4) and boxes.shape == (5, 4)
    assert head(("a", "b")).num_classes == 2


@pytest.mark.parametrize("weight", [1.0, 0.6])
def test_background_weighs_less_in_the_loss(weight):
    made = head(background_weight=weight)
    scores = torch.randn(4, 4)
    labels, weights = torch.tensor([0, 3, 2, 3]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    loss = made.loss(scores, None, torch.zeros(4, 5), labels, weights, None, None)["loss_cls"]
    each = -scores.log_softmax(-1)[torch.arange(4), labels]
    by_hand = (each * torch.tensor([1.0, weight, 1.0, 0.0])).sum() / 3
    torch.testing.assert_close(loss, by_hand)


def test_the_limit_before_the_nms_keeps_what_all_would_keep():
    made = head()
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(60, 2, generator=generator) * 60
    extent = 4 + torch.rand(60, 2, generator=generator) * 30
    rois = torch.cat([torch.zeros(60, 1), corner, corner + extent], dim=1)
    scores = torch.randn(60, 4, generator=generator) * 2
    deltas, meta = torch.zeros(60, 4), dict(img_shape=(100, 100), scale_factor=(1.0, 1.0))
    test = dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=10)
    whole = made._predict_by_feat_single(rois, scores, deltas, meta, False, ConfigDict(test))
    kept = {}
    for limit in (5, 40, 100_000):
        config = ConfigDict(test, nms_pre=limit)
        kept[limit] = made._predict_by_feat_single(rois, scores, deltas, meta, False, config)
        assert config.score_thr == 0.0
    assert len(whole) == 10 and len(kept[5]) <= 5
    for limit in (40, 100_000):
        torch.testing.assert_close(kept[limit].scores, whole.scores)
        torch.testing.assert_close(kept[limit].bboxes, whole.bboxes)
        assert torch.equal(kept[limit].labels, whole.labels)
