"""The trained segmentor: start, fusion of seen and unseen, losses, batches, windows."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData

from tests.dense_models import batch_of, finish, model_config, segmentation_sample

CLASSES = ("background", "cat", "dog", "bee")
HEADS = {
    "cosine": dict(type="react_mm.CosineDecodeHead", embed_dim=24, channels=8, tap_channels=48),
    "cost": dict(
        type="react_mm.CostAggregationHead", embed_dim=24, channels=8, guidance=4, kernel=3
    ),
}


def small(folder, kind="cosine", shake_head=True, **changes):
    init_default_scope("mmseg")
    torch.manual_seed(0)
    config = model_config(
        folder,
        "training_free_segmentor.py",
        type="react_mm.TrainedSegmentor",
        decode_head=HEADS[kind],
        **changes,
    )
    config.backbone.update(dense_mode="maskclip", out_indices=(2,))
    model = MODELS.build(config)
    model.init_weights()
    if shake_head:
        with torch.no_grad():
            for parameter in model.decode_head.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return finish(model, CLASSES, base=("background", "cat", "dog"))


def predict(model, pairs):
    return model.test_step(copy.deepcopy(batch_of(pairs)))


def labelled(height, width, seed, classes=3):
    image, sample = segmentation_sample(height, width, seed)
    label = torch.randint(0, classes, (1, height, width))
    label[:, :5] = 255
    sample.gt_sem_seg = PixelData(data=label)
    return image, sample


@pytest.mark.parametrize("kind", list(HEADS))
@pytest.mark.parametrize("slide", [False, True])
def test_padded_batch_of_two_equals_two_of_one(tmp_path, kind, slide):
    windows = dict(mode="slide", crop_size=(48, 48), stride=(24, 24)) if slide else None
    model = small(tmp_path, kind, test_cfg=windows or dict(mode="whole"))
    pairs = [segmentation_sample(70, 100, 1), segmentation_sample(96, 50, 2)]
    for both, pair in zip(predict(model, pairs), pairs, strict=True):
        alone = predict(model, [pair])[0]
        torch.testing.assert_close(both.seg_logits.data, alone.seg_logits.data, rtol=0, atol=1e-5)


def test_untrained_head_is_the_training_free_segmentor(tmp_path):
    model = small(tmp_path, shake_head=False)
    pair = segmentation_sample(64, 48)
    ours = predict(model, [pair])[0].seg_logits.data
    config = model_config(tmp_path, "training_free_segmentor.py", logit_scale=1 / 0.05)
    config.backbone.dense_mode = "maskclip"
    torch.manual_seed(0)
    free = finish(MODELS.build(config), CLASSES)
    free.backbone.load_state_dict(model.backbone.state_dict())
    torch.testing.assert_close(ours, predict(free, [pair])[0].seg_logits.data, rtol=0, atol=1e-4)


def test_seen_and_unseen_classes_weigh_the_towers_scores(tmp_path):
    fusion = dict(type="react_mm.ScoreCombiner", base=0.3, novel=0.9)
    model = small(tmp_path, score_combiner=fusion, tower_scale=7.0)
    plain = small(tmp_path)
    pair = segmentation_sample(64, 48)
    ours = predict(model, [pair])[0].seg_logits.data
    x = model.data_preprocessor(batch_of([pair]))["inputs"]
    head = plain.encode_decode(x, [])[0].softmax(0)
    dense = F.normalize(model.backbone.dense_embedding(x)[0], dim=0)
    cosine = torch.einsum("dhw,cd->chw", dense, model.class_embeddings)
    tower = (7 * F.interpolate(cosine[None], (64, 48), mode="bilinear")[0]).softmax(0)
    weight = torch.tensor([0.3, 0.3, 0.3, 0.9])[:, None, None]
    fused = head ** (1 - weight) * tower**weight
    torch.testing.assert_close(ours, fused / fused.sum(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", list(HEADS))
def test_loss_by_hand_on_a_padded_batch(tmp_path, kind):
    model = small(tmp_path, kind)
    pairs = [labelled(64, 80, 1), labelled(48, 64, 2)]
    data = model.data_preprocessor(copy.deepcopy(batch_of(pairs)), training=True)
    losses = model.loss(data["inputs"], data["data_samples"])
    assert data["data_samples"][1].gt_sem_seg.shape == (64, 80)
    total, pixels = 0.0, 0
    logits = model.encode_decode(data["inputs"][:1], [])
    labels = data["data_samples"][0].gt_sem_seg.data.long()
    total += F.cross_entropy(logits, labels, ignore_index=255, reduction="sum")
    pixels += int((labels != 255).sum())
    labels = data["data_samples"][1].gt_sem_seg.data.long()
    taps, dense = model.extract_feat(data["inputs"][1:, :, :48, :64])
    taps, dense = [F.pad(tap, (0, 1, 0, 1)) for tap in taps], F.pad(dense, (0, 1, 0, 1))
    logits = model.upsampled(
        model.decode_head(dense, taps, model.class_similarity), data["inputs"][1:]
    )
    total += F.cross_entropy(logits, labels, ignore_index=255, reduction="sum")
    pixels += int((labels != 255).sum())
    torch.testing.assert_close(losses["loss_ce"], total / pixels, rtol=1e-4, atol=1e-4)
    assert 0 <= float(losses["acc_seg"]) <= 100
    losses["loss_ce"].backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert all(p.grad is not None for p in model.decode_head.parameters())


def test_label_outside_the_vocabulary_is_refused(tmp_path):
    model = small(tmp_path)
    data = model.data_preprocessor(batch_of([labelled(48, 48, 1, classes=9)]), training=True)
    with pytest.raises(ValueError, match="outside the 4 classes"):
        model.loss(data["inputs"], data["data_samples"])


def test_vocabulary_changes_the_result_and_order_permutes_it(tmp_path):
    model, pair = small(tmp_path, "cost"), segmentation_sample(64, 48)
    before = predict(model, [pair])[0].seg_logits.data
    model.set_vocabulary(["bee", "background", "dog", "cat"])
    turned = predict(model, [pair])[0].seg_logits.data
    torch.testing.assert_close(turned, before[[3, 0, 2, 1]], rtol=0, atol=1e-5)
    model.set_vocabulary(["background", "cat", "dog", "wasp"])
    assert not torch.allclose(predict(model, [pair])[0].seg_logits.data, before, atol=1e-3)


def test_head_of_another_dimension_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"embed_dim is 24, the tower's.* 20"):
        config = model_config(
            tmp_path,
            "training_free_segmentor.py",
            type="react_mm.TrainedSegmentor",
            decode_head=HEADS["cosine"],
        )
        from tests.dense_towers import write_architecture

        config.backbone.arch = write_architecture(tmp_path, "quickgelu")
        init_default_scope("mmseg")
        MODELS.build(config)
