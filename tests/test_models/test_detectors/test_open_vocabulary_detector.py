"""Dense truth for every kind of detector: batches, vocabularies, frozen towers; gates open."""

import copy

import pytest
import torch

from react_mm.models.layers.gated_attention import gated_blocks
from tests.dense_models import KINDS, batch_of, detection_sample, small_detector

SIZES = [(70, 100), (96, 50)]
kinds = pytest.mark.parametrize("kind", KINDS)


def predictions(model, pairs):
    with torch.no_grad():
        samples = model.test_step(copy.deepcopy(batch_of(pairs)))
    return [s.pred_instances for s in samples]


def assert_same(one, other):
    assert len(one) == len(other) > 5
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.bboxes, other.bboxes, rtol=0, atol=1e-3)
    assert torch.equal(one.labels, other.labels)
    if "masks" in one:
        assert one.masks.any()
        assert (one.masks != other.masks).float().mean() < 1e-4


def train_data(model, sizes=SIZES):
    pairs = [detection_sample(*size, seed=i) for i, size in enumerate(sizes)]
    return model.data_preprocessor(copy.deepcopy(batch_of(pairs)), True)


@kinds
def test_padded_batch_of_two_equals_two_of_one(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    assert gated_blocks(model.backbone)
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


@kinds
def test_new_vocabulary_changes_the_result_and_back(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    model.set_vocabulary(["cat", "dog", "wasp", "ant"])
    assert model.named_head.classifier.num_vocabulary == 4
    changed = predictions(model, [pair])[0]
    assert changed.labels.max() == 3
    assert not torch.allclose(before.scores[:5], changed.scores[:5])
    model.set_vocabulary(["cat", "dog", "bee"])
    assert_same(predictions(model, [pair])[0], before)


@kinds
def test_order_of_classes_only_renames_labels(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    order = ["bee", "cat", "dog"]
    model.set_vocabulary(order)
    after = predictions(model, [pair])[0]
    torch.testing.assert_close(after.scores, before.scores, rtol=0, atol=1e-6)
    names = [("cat", "dog", "bee")[i] for i in before.labels]
    assert [order[i] for i in after.labels] == names
    assert len(set(names)) > 1


@kinds
def test_open_gates_and_base_classes_reach_the_scores(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    pair = detection_sample(64, 96)
    before = predictions(model, [pair])[0]
    model.set_base_classes(["cat", "dog", "bee"])
    as_base = predictions(model, [pair])[0]
    assert not torch.allclose(before.scores[:30], as_base.scores[:30])
    model.backbone.set_gate_scale(0.0)
    assert not torch.allclose(as_base.scores[:30], predictions(model, [pair])[0].scores[:30])


@kinds
def test_training_step_leaves_the_tower_alone(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    model.set_vocabulary(["cat", "dog"])  # the base classes
    model.train()
    frozen = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    trained = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    assert trained and not any(n.startswith("backbone") for n in trained)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = model(**train_data(model), mode="loss")
    wanted = {"loss_cls", "loss_bbox"}
    wanted |= {"loss_centerness"} if kind == "atss" else {"loss_rpn_cls", "loss_rpn_bbox"}
    wanted |= {"loss_mask"} if kind == "mask" else set()
    assert wanted <= set(losses)
    total, _ = model.parse_losses(losses)
    total.backward()
    optimizer.step()
    assert all(torch.equal(frozen[k], v) for k, v in model.backbone.state_dict().items())
    moved = {n for n, p in model.named_parameters() if p.requires_grad and p.ne(trained[n]).any()}
    classifier = "bbox_head.atss_cls" if kind == "atss" else "roi_head.bbox_head.fc_cls"
    last = "bias" if kind == "atss" else "background"
    for name in (last, "log_temperature", "embed.weight"):
        assert f"{classifier}.{name}" in moved
    assert {n.split(".")[0] for n in moved} == {n.split(".")[0] for n in trained}


@kinds
def test_padding_is_hidden_from_the_tower_while_training(tmp_path, kind):
    """Whatever stands in the padding, the losses are the same."""
    model = small_detector(tmp_path, kind=kind).train()
    data = train_data(model)
    noisy = data["inputs"].clone()
    for row, (h, w) in zip(noisy, SIZES, strict=True):
        row[:, h:], row[:, :, w:] = 5.0, -5.0
    values = []
    for inputs in (data["inputs"], noisy):
        torch.manual_seed(0)
        losses = model.loss(inputs, copy.deepcopy(data["data_samples"]))
        values.append(model.parse_losses(losses)[0])
    torch.testing.assert_close(*values)


@kinds
def test_training_without_vocabulary_is_refused(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind).train()
    model.vocabulary = None
    data = train_data(model)
    with pytest.raises(RuntimeError, match="VocabularyHook"):
        model.loss(data["inputs"], data["data_samples"])


@kinds
def test_checkpoint_of_another_vocabulary_loads(tmp_path, kind):
    first = small_detector(tmp_path, classes=("cat", "dog"), base=("cat",), kind=kind)
    state = first.state_dict()
    assert not any("class_embeddings" in name for name in state)
    model = small_detector(tmp_path, ("a", "b", "c", "d"), ("a",), seed=3, kind=kind)
    model.load_state_dict(state, strict=True)
    assert predictions(model, [detection_sample(64, 96)])[0].labels.max() == 3


@kinds
def test_init_weights_keeps_tower_and_classifier(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    kept = {
        n: v.clone()
        for n, v in model.state_dict().items()
        if n.startswith("backbone") or "fc_cls" in n or "atss_cls" in n
    }
    for module in model.modules():
        if hasattr(module, "_is_init"):
            module._is_init = False
    model.init_weights()
    after = model.state_dict()
    assert kept and all(torch.equal(v, after[n]) for n, v in kept.items())
    other = small_detector(tmp_path, kind=kind).state_dict()
    assert any(not torch.equal(v, other[n]) for n, v in after.items() if n not in kept)


@kinds
def test_without_combiner_the_tower_runs_once_for_its_taps_alone(tmp_path, kind):
    model = small_detector(tmp_path, kind=kind)
    asked = []
    model.backbone.taps_and_dense = lambda *args: asked.append("dense")
    model.named_head.combiner = None
    assert len(predictions(model, [detection_sample(64, 96)])[0])
    assert asked == []
