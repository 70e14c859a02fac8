"""What is peculiar to the one-stage detector: see test_open_vocabulary_detector for the rest."""

from react_mm.models.dense_heads import OpenVocabularyATSSHead
from tests.dense_models import small_detector


def test_it_is_mmdets_atss_with_our_head(tmp_path):
    from mmdet.models.detectors import ATSS  # after react_mm, which supplies mmcv's operators

    model = small_detector(tmp_path, kind="atss")
    assert isinstance(model, ATSS)
    assert model.named_head is model.bbox_head
    assert isinstance(model.bbox_head, OpenVocabularyATSSHead)
    model.set_vocabulary(["a", "b", "c", "d"])
    assert model.bbox_head.num_classes == model.bbox_head.cls_out_channels == 4
