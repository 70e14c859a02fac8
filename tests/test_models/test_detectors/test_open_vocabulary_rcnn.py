"""The detector: batches, vocabularies, frozen towers, losses."""

import copy

import pytest
import torch

from tests.dense_models import batch_of, detection_sample, small_detector

SIZES = [(70, 100), (96, 50)]


def predictions(model, pairs):
    with torch.no_grad():
        samples = model.test_step(copy.deepcopy(batch_of(pairs)))
    return [s.pred_instances for s in samples]


def assert_same(one, other):
    assert len(one) == len(other) > 5
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.bboxes, other.bboxes, rtol=0, atol=1e-3)
    assert torch.equal(one.labels, other.labels)


def test_padded_batch_of_two_equals_two_of_one(tmp_path):
    model = small_detector(tmp_path)
    pairs = [detection_sample(*size, seed=i) for i, size in enumerate(SIZES)]
    together = predictions(model, pairs)
    for both, pair in zip(together, pairs, strict=True):
        assert_same(both, predictions(model, [pair])[0])
    # ... and in the other order, and beside an image of its own size.
    swapped = predictions(model, pairs[::-1])
    assert_same(swapped[0], together[1])
    same_size = predictions(model, [pairs[0], detection_sample(*SIZES[0], seed=9), pairs[1]])
    assert_same(same_size[0], together[0])
    assert_same(same_size[2], together[1])


def test_new_vocabulary_changes_the_result_and_back(tmp_path):
    model = small_detector(tmp_path)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    model.set_vocabulary(["cat", "dog", "wasp", "ant"])
    assert model.roi_head.bbox_head.num_classes == 4
    changed = predictions(model, [pair])[0]
    assert changed.labels.max() == 3
    assert not torch.allclose(before.scores[:5], changed.scores[:5])
    model.set_vocabulary(["cat", "dog", "bee"])
    assert_same(predictions(model, [pair])[0], before)


def test_order_of_classes_only_renames_labels(tmp_path):
    model = small_detector(tmp_path)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    order = ["bee", "cat", "dog"]
    model.set_vocabulary(order)
    after = predictions(model, [pair])[0]
    torch.testing.assert_close(after.scores, before.scores, rtol=0, atol=1e-6)
    names = [("cat", "dog", "bee")[i] for i in before.labels]
    assert [order[i] for i in after.labels] == names
    assert len(set(names)) > 1


def test_base_and_novel_weights_reach_the_scores(tmp_path):
    model = small_detector(tmp_path)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    model.set_base_classes(["cat", "dog", "bee"])
    after = predictions(model, [pair])[0]
    assert not torch.allclose(before.scores[:10], after.scores[:10])


def test_fused_scores_are_the_combiners(tmp_path):
    """What leaves the head after its softmax is what the combiner was asked for."""
    model = small_detector(tmp_path)
    image, sample = detection_sample(64, 96)
    data = model.data_preprocessor(batch_of([(image, sample)]))
    with torch.no_grad():
        x = model.extract_feat(data["inputs"])
        rois = torch.tensor([[0.0, 5, 5, 40, 50], [0.0, 20, 10, 90, 60]])
        out = model.roi_head._bbox_forward(x, rois)
        vlm = model.roi_head.vlm_logits(x, rois).softmax(-1)
    detector = out["detector_score"].softmax(-1)
    weights = torch.tensor([0.1, 0.1, 0.8])
    fused = detector[:, :-1] ** (1 - weights) * vlm**weights
    rest = (1 - fused.sum(-1, keepdim=True)).clamp_min(1e-10)
    expected = torch.cat([fused, rest], -1)
    torch.testing.assert_close(
        out["cls_score"].softmax(-1), expected / expected.sum(-1, keepdim=True)
    )


def test_training_step_leaves_the_tower_alone(tmp_path):
    model = small_detector(tmp_path)
    model.set_vocabulary(["cat", "dog"])  # the base classes
    model.train()
    frozen = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    trained = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    assert trained and not any(n.startswith("backbone") for n in trained)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pairs = [detection_sample(*size, seed=i) for i, size in enumerate(SIZES)]
    data = model.data_preprocessor(copy.deepcopy(batch_of(pairs)), True)
    losses = model(**data, mode="loss")
    assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox"} <= set(losses)
    total, _ = model.parse_losses(losses)
    total.backward()
    optimizer.step()
    assert all(torch.equal(frozen[k], v) for k, v in model.backbone.state_dict().items())
    moved = {n for n, p in model.named_parameters() if p.requires_grad and p.ne(trained[n]).any()}
    head = "roi_head.bbox_head.fc_cls"
    for name in ("background", "log_temperature", "embed.weight"):
        assert f"{head}.{name}" in moved


def test_padding_is_hidden_while_training(tmp_path):
    """Whatever stands in the padding, the losses are the same."""
    model = small_detector(tmp_path).train()
    pairs = [detection_sample(*size, seed=i) for i, size in enumerate(SIZES)]
    data = model.data_preprocessor(copy.deepcopy(batch_of(pairs)), True)
    noisy = data["inputs"].clone()
    for row, (h, w) in zip(noisy, SIZES, strict=True):
        row[:, h:], row[:, :, w:] = 5.0, -5.0
    values = []
    for inputs in (data["inputs"], noisy):
        torch.manual_seed(0)
        losses = model.loss(inputs, copy.deepcopy(data["data_samples"]))
        values.append(model.parse_losses(losses)[0])
    torch.testing.assert_close(*values)


def test_training_without_vocabulary_is_refused(tmp_path):
    model = small_detector(tmp_path).train()
    model.vocabulary = None
    data = model.data_preprocessor(batch_of([detection_sample(64, 64)]), True)
    with pytest.raises(RuntimeError, match="VocabularyHook"):
        model.loss(data["inputs"], data["data_samples"])


def test_checkpoint_of_another_vocabulary_loads(tmp_path):
    state = small_detector(tmp_path, classes=("cat", "dog"), base=("cat",)).state_dict()
    assert not any("class_embeddings" in name for name in state)
    model = small_detector(tmp_path, classes=("a", "b", "c", "d"), base=("a",), seed=3)
    model.load_state_dict(state, strict=True)
    assert predictions(model, [detection_sample(64, 96)])[0].labels.max() == 3


def test_init_weights_keeps_tower_and_classifier(tmp_path):
    model = small_detector(tmp_path)
    kept = {
        n: v.clone()
        for n, v in model.state_dict().items()
        if n.startswith("backbone") or "fc_cls" in n
    }
    model._is_init = False
    for module in model.modules():
        if hasattr(module, "_is_init"):
            module._is_init = False
    model.init_weights()
    after = model.state_dict()
    assert kept and all(torch.equal(v, after[n]) for n, v in kept.items())
