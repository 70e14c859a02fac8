"""The training-free segmentor: batches, windows, background, synonyms."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.dense_models import batch_of, segmentation_sample, small_segmentor

SLIDE = dict(mode="slide", crop_size=(48, 48), stride=(24, 24))


def predict(model, pairs):
    return model.test_step(copy.deepcopy(batch_of(pairs)))


@pytest.mark.parametrize("test_cfg", [dict(mode="whole"), SLIDE])
@pytest.mark.parametrize("background", [None, dict(threshold=0.6), dict(names=["sky", "wall"])])
def test_padded_batch_of_two_equals_two_of_one(tmp_path, test_cfg, background):
    model = small_segmentor(tmp_path, test_cfg=test_cfg, background=background)
    pairs = [segmentation_sample(70, 100, 1), segmentation_sample(96, 50, 2)]
    for both, pair in zip(predict(model, pairs), pairs, strict=True):
        alone = predict(model, [pair])[0]
        assert both.pred_sem_seg.shape == pair[1].metainfo["ori_shape"]
        torch.testing.assert_close(both.seg_logits.data, alone.seg_logits.data, rtol=0, atol=1e-5)
        assert both.pred_sem_seg.data.eq(alone.pred_sem_seg.data).float().mean() > 0.999


def test_scores_by_hand(tmp_path):
    model = small_segmentor(tmp_path)
    image, sample = segmentation_sample(64, 48)
    ours = predict(model, [(image, sample)])[0]
    x = model.data_preprocessor(batch_of([(image, sample)]))["inputs"]
    dense = model.backbone.dense_embedding(x)[0]
    cosine = torch.einsum("dhw,cd->chw", F.normalize(dense, dim=0), model.class_embeddings)
    cosine = F.interpolate(cosine[None], (64, 48), mode="bilinear")[0]
    torch.testing.assert_close(ours.seg_logits.data, (100 * cosine).softmax(0))
    assert torch.equal(ours.pred_sem_seg.data[0], cosine.argmax(0))


def test_pixels_beyond_whole_cells_are_cut_not_squeezed(tmp_path):
    """70 pixels are 4.4 cells: pixel 0 to 63 must not move for the sake of the last cell."""
    model = small_segmentor(tmp_path)
    x = torch.randn(1, 3, 70, 64)
    cosine = model.encode_decode(x, [])
    assert cosine.shape[-2:] == (70, 64)
    dense = model.backbone.dense_embedding(x)
    low = model.class_similarity(dense.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    full = F.interpolate(low, (80, 64), mode="bilinear")
    torch.testing.assert_close(cosine, full[..., :70, :])


def test_one_tile_window_equals_whole(tmp_path):
    pair = segmentation_sample(50, 70)
    whole = predict(small_segmentor(tmp_path), [pair])[0]
    tile = dict(mode="slide", crop_size=(64, 96), stride=(32, 32))
    slide = predict(small_segmentor(tmp_path, test_cfg=tile), [pair])[0]
    torch.testing.assert_close(whole.seg_logits.data, slide.seg_logits.data)
    smaller = predict(small_segmentor(tmp_path, test_cfg=SLIDE), [pair])[0]
    assert not torch.allclose(whole.seg_logits.data, smaller.seg_logits.data, atol=1e-2)


def test_windows_are_averaged_where_they_overlap(tmp_path):
    model = small_segmentor(tmp_path, test_cfg=SLIDE)
    x = torch.randn(1, 3, 48, 72)  # two windows: columns 0-47 and 24-71
    both = model.slide_inference(x, [{}])
    left, right = model.encode_decode(x[..., :48], []), model.encode_decode(x[..., 24:], [])
    torch.testing.assert_close(both[..., :24], left[..., :24])
    torch.testing.assert_close(both[..., 24:48], (left[..., 24:] + right[..., :24]) / 2)
    torch.testing.assert_close(both[..., 48:], right[..., 24:])


def test_threshold_gives_background_where_no_class_is_sure(tmp_path):
    pair = segmentation_sample(64, 64)
    model = small_segmentor(tmp_path, background=dict(threshold=0.7))
    scores = predict(model, [pair])[0]
    free = small_segmentor(tmp_path, classes=("cat", "dog", "bee"))
    others = predict(free, [pair])[0].seg_logits.data
    torch.testing.assert_close(scores.seg_logits.data[1:], others)
    expected = torch.where(others.max(0).values > 0.7, others.argmax(0) + 1, 0)
    assert torch.equal(scores.pred_sem_seg.data[0], expected)
    assert 0 < (expected == 0).float().mean() < 1


def test_background_names_take_the_best(tmp_path):
    pair = segmentation_sample(64, 64)
    model = small_segmentor(tmp_path, background=dict(names=["sky", "wall"]))
    scores = predict(model, [pair])[0]
    names = ("background", "sky", "wall", "cat", "dog", "bee")
    plain = small_segmentor(tmp_path, classes=names)
    dense = plain.extract_feat(plain.data_preprocessor(batch_of([pair]))["inputs"])
    rows = plain.class_similarity(dense.permute(0, 2, 3, 1))[0]
    cells = torch.cat([rows[..., :3].amax(-1, keepdim=True), rows[..., 3:]], -1)
    cosine = F.interpolate(cells.permute(2, 0, 1)[None], (64, 64), mode="bilinear")[0]
    torch.testing.assert_close(scores.seg_logits.data, (100 * cosine).softmax(0))
    assert rows[..., :3].argmax(-1).unique().numel() > 1


def test_background_names_may_compete_beside_a_threshold(tmp_path):
    pair = segmentation_sample(64, 64)
    both = dict(names=["sky", "wall"], threshold=0.6)
    scores = predict(small_segmentor(tmp_path, background=both), [pair])[0].seg_logits.data
    names = predict(small_segmentor(tmp_path, background=dict(names=both["names"])), [pair])[0]
    names = names.seg_logits.data
    assert torch.equal(scores[1:], names[1:])
    assert torch.equal(scores[0], names[0].clamp_min(0.6))
    alone = small_segmentor(tmp_path, background=dict(threshold=0.6, competes=True))
    free = predict(small_segmentor(tmp_path), [pair])[0].seg_logits.data
    torch.testing.assert_close(predict(alone, [pair])[0].seg_logits.data[1:], free[1:])


def test_class_order_and_vocabulary(tmp_path):
    pair = segmentation_sample(64, 64)
    model = small_segmentor(tmp_path)
    before = predict(model, [pair])[0].seg_logits.data
    model.set_vocabulary(["bee", "background", "dog", "cat"])
    torch.testing.assert_close(predict(model, [pair])[0].seg_logits.data, before[[3, 0, 2, 1]])
    model.set_vocabulary(["background", "cat", "dog", "wasp"])
    assert not torch.allclose(predict(model, [pair])[0].seg_logits.data, before, atol=1e-2)


def test_resized_image_is_labelled_at_its_original_size(tmp_path):
    image, sample = segmentation_sample(64, 64)
    sample.set_metainfo(dict(ori_shape=(30, 45)))
    out = predict(small_segmentor(tmp_path), [(image, sample)])[0]
    assert out.pred_sem_seg.data.shape == (1, 30, 45)


def test_one_class_is_everywhere(tmp_path):
    model = small_segmentor(tmp_path, classes=("cat",))
    assert predict(model, [segmentation_sample(64, 64)])[0].pred_sem_seg.data.eq(0).all()


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="threshold=t"):
        small_segmentor(tmp_path, background=dict(thr=0.5))
    with pytest.raises(ValueError, match="needs a class named 'background'"):
        small_segmentor(tmp_path, classes=("cat",), background=dict(threshold=0.5))
    with pytest.raises(NotImplementedError, match="training-free"):
        small_segmentor(tmp_path).loss(None, [])
