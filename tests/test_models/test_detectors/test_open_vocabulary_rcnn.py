"""What is peculiar to the two-stage detectors: see test_open_vocabulary_detector for the rest."""

import copy

import torch

from tests.dense_models import batch_of, detection_sample, small_detector


def test_masks_are_class_agnostic_and_lie_in_the_original_image(tmp_path):
    model = small_detector(tmp_path, kind="mask")
    assert model.roi_head.mask_head.conv_logits.out_channels == 1
    image, sample = detection_sample(64, 96)
    sample.set_metainfo(dict(ori_shape=(32, 48), scale_factor=(2.0, 2.0)))
    found = model.test_step(copy.deepcopy(batch_of([(image, sample)])))[0].pred_instances
    assert found.masks.shape == (len(found), 32, 48)
    assert found.bboxes[:, 2].max() <= 48
    rows, columns = torch.arange(32)[:, None], torch.arange(48)
    for mask, (x1, y1, x2, y2) in zip(found.masks, found.bboxes, strict=True):
        inside = (columns > x1 - 2) & (columns < x2 + 2) & (rows > y1 - 2) & (rows < y2 + 2)
        assert not (mask & ~inside).any()


def test_a_mask_head_with_classes_is_made_class_agnostic(tmp_path):
    wrong = dict(roi_head=dict(mask_head=dict(class_agnostic=False, num_classes=80)))
    model = small_detector(tmp_path, kind="mask", **wrong)
    assert model.roi_head.mask_head.conv_logits.out_channels == 1
