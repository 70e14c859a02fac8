"""Ignored (novel) boxes: no background gradient on them, foreground stays; by hand."""

import copy

import pytest
import torch
from mmengine.structures import InstanceData

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.models.assigners import IgnoringATSSAssigner, IgnoringMaxIoUAssigner
from tests.dense_models import batch_of, detection_sample, small_detector

TRUTH = torch.tensor([[10.0, 10, 30, 30]])
IGNORED = torch.tensor([[5.0, 5, 60, 60]])  # a large novel object, the base object inside it
PRIORS = torch.tensor(
    [
        [10.0, 10, 30, 31],  # on the base object, and inside the ignored one
        [35, 35, 58, 58],  # inside the ignored one alone
        [50, 5, 70, 25],  # half of it on the ignored one: exactly .5
        [70, 70, 90, 90],  # background
    ]
)


def instances(**values):
    return InstanceData(**values)


def truth(boxes=TRUTH):
    return instances(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long))


@pytest.mark.parametrize(
    ("threshold", "expected"), [(-1, [1, 0, 0, 0]), (0.5, [1, -1, 0, 0]), (0.4, [1, -1, -1, 0])]
)
def test_by_hand(threshold, expected):
    assigner = IgnoringMaxIoUAssigner(0.5, 0.5, 0.5, ignore_iof_thr=threshold)
    ignored = instances(bboxes=IGNORED)
    result = assigner.assign(instances(priors=PRIORS), truth(), ignored)
    assert result.gt_inds.tolist() == expected
    assert assigner.assign(instances(priors=PRIORS), truth(), None).gt_inds.tolist() == [1, 0, 0, 0]


def test_an_image_of_nothing_but_ignored_boxes():
    """mmdet's own assigner teaches them as background there."""
    assigner = IgnoringMaxIoUAssigner(0.5, 0.5, 0.5)
    empty = truth(TRUTH[:0])
    found = assigner.assign(instances(priors=PRIORS), empty, instances(bboxes=IGNORED))
    assert found.gt_inds.tolist() == [-1, -1, 0, 0]
    one_stage = IgnoringATSSAssigner(9)
    found = one_stage.assign(instances(priors=PRIORS), [4], empty, instances(bboxes=IGNORED))
    assert found.gt_inds.tolist() == [-1, -1, 0, 0]


def test_one_stage_keeps_its_foreground():
    ignored = instances(bboxes=IGNORED)
    plain = IgnoringATSSAssigner(3, ignore_iof_thr=-1)
    without = plain.assign(instances(priors=PRIORS), [4], truth(), ignored)
    found = IgnoringATSSAssigner(3).assign(instances(priors=PRIORS), [4], truth(), ignored)
    assert without.gt_inds.tolist() == [1, 0, 0, 0]
    assert found.gt_inds.tolist() == [1, -1, 0, 0]
    assert found.labels.tolist()[0] == 0


def switched(model, threshold):
    assigners = (
        [model.bbox_head.assigner]
        if hasattr(model, "bbox_head")
        else [model.rpn_head.assigner, model.roi_head.bbox_assigner]
    )
    for assigner in assigners:
        assigner.ignore_iof_thr = threshold
    return assigners


def class_loss(model, ignored):
    """Losses with one base object and an ignored box that covers all of the rest."""
    image, sample = detection_sample(64, 96, boxes=1)
    sample.gt_instances.bboxes = torch.tensor([[8.0, 8, 40, 40]])
    sample.gt_instances.labels = torch.tensor([0])
    if ignored is not None:
        sample.ignored_instances = InstanceData(
            bboxes=ignored, labels=torch.zeros(len(ignored), dtype=torch.long)
        )
    data = model.data_preprocessor(copy.deepcopy(batch_of([(image, sample)])), True)
    torch.manual_seed(0)
    losses = model(**data, mode="loss")
    return model.parse_losses(losses)[0], losses


@pytest.mark.parametrize("kind", ["fvit", "rpn", "atss"])
def test_no_background_gradient_on_an_ignored_box(tmp_path, kind):
    """With the whole image ignored, only the base object's regions have a gradient."""
    part, kind = kind, "atss" if kind == "atss" else "fvit"
    model = small_detector(tmp_path, kind=kind, classes=("cat", "dog"))
    model.train()
    whole = torch.tensor([[-200.0, -200, 400, 400]])
    logits = {}
    if part == "atss":
        module = model.bbox_head.atss_cls
    else:
        module = model.rpn_head.rpn_cls if part == "rpn" else model.roi_head.bbox_head.fc_cls

    def keep(_, __, output):
        output.retain_grad()
        logits.setdefault("all", []).append(output)

    module.register_forward_hook(keep)
    counts = {}
    for threshold in (-1, 0.5):
        switched(model, threshold)
        logits.clear()
        class_loss(model, whole)[0].backward()
        moved = [
            g.grad.permute(0, 2, 3, 1).flatten(0, 2) if g.ndim == 4 else g.grad
            for g in logits["all"]
        ]
        rows = torch.cat(moved).abs().sum(dim=1) > 0
        counts[threshold] = int(rows.sum()), len(rows)
    assert counts[-1][0] > counts[0.5][0] > 0
    if part == "fvit":
        # What is left is foreground alone: regions of at least half an IoU with the object.
        losses = class_loss(model, whole)[1]
        assert losses["loss_cls"].item() > 0
        assert counts[0.5][0] == counts[0.5][1] <= 32 // 4 + 1
    # Without the box in the data the option changes nothing.
    switched(model, 0.5)
    with_option = class_loss(model, None)[0]
    switched(model, -1)
    torch.testing.assert_close(with_option, class_loss(model, None)[0])
