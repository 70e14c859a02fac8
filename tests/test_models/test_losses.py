"""Losses against numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.models.losses import (
    HardNegativeMargin,
    InfoNCE,
    LabelAwareInfoNCE,
    teacher_loss,
)


def numpy_info_nce(image, text, scale):
    logits = scale * image @ text.T
    rows = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    columns = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    return (rows.mean() + columns.mean()) / 2


def test_info_nce_equals_numpy():
    torch.manual_seed(0)
    image, text = (F.normalize(torch.randn(7, 16, dtype=torch.float64), dim=-1) for _ in range(2))
    got = InfoNCE()(image, text, torch.tensor(9.0, dtype=torch.float64))
    assert np.isclose(got.item(), numpy_info_nce(image.numpy(), text.numpy(), 9.0), atol=1e-10)


def test_info_nce_is_symmetric_but_not_in_its_targets():
    torch.manual_seed(0)
    image, text = (F.normalize(torch.randn(5, 8), dim=-1) for _ in range(2))
    scale = torch.tensor(10.0)
    torch.testing.assert_close(InfoNCE()(image, text, scale), InfoNCE()(text, image, scale))
    assert InfoNCE()(image, image, scale) < InfoNCE()(image, image.flip(0), scale)


def test_teacher_loss_is_one_minus_cosine_and_stops_at_the_teacher():
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)
    s, t = student.detach().numpy(), teacher.detach().numpy()
    cosine = (s * t).sum(1) / np.linalg.norm(s, axis=1) / np.linalg.norm(t, axis=1)
    loss = teacher_loss(student, teacher)
    assert np.isclose(loss.item(), 1 - cosine.mean(), atol=1e-6)
    loss.backward()
    assert student.grad.abs().sum() > 0 and teacher.grad is None
    assert teacher_loss(student[:0], teacher[:0]).item() == 0


def numpy_soft_cross_entropy(logits, target):
    return -(target * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1).mean()


def five_pairs():
    torch.manual_seed(1)
    image, text = (F.normalize(torch.randn(5, 8, dtype=torch.float64), dim=-1) for _ in range(2))
    concept = torch.tensor([3, -1, 3, 0, -1])  # 0 and 2 share one; -1 is no concept
    same = np.eye(5)
    same[0, 2] = same[2, 0] = 1
    return image, text, concept, same, 7 * image.numpy() @ text.numpy().T


def test_label_aware_targets_are_spread_over_the_concept():
    image, text, concept, same, logits = five_pairs()
    target = same / same.sum(1, keepdims=True)
    expected = numpy_soft_cross_entropy(logits, target) + numpy_soft_cross_entropy(logits.T, target)
    got = LabelAwareInfoNCE()(image, text, torch.tensor(7.0).double(), concept)
    assert np.isclose(got.item(), expected / 2, atol=1e-10)
    alone = torch.tensor([-1, -1, 4, 5, 6])
    plain = InfoNCE()(image, text, torch.tensor(7.0).double())
    assert LabelAwareInfoNCE()(image, text, torch.tensor(7.0).double(), alone) == pytest.approx(
        plain.item(), abs=1e-12
    )
    assert abs(got - plain) > 1e-3


def test_ignored_pairs_of_the_concept_leave_the_denominator():
    image, text, concept, same, logits = five_pairs()
    kept = (same - np.eye(5)) == 0
    rows = np.log((np.exp(logits) * kept).sum(1)) - np.diag(logits)
    columns = np.log((np.exp(logits.T) * kept).sum(1)) - np.diag(logits)
    loss = LabelAwareInfoNCE("ignored")
    got = loss(image, text, torch.tensor(7.0).double(), concept)
    assert np.isclose(got.item(), (rows.mean() + columns.mean()) / 2, atol=1e-10)
    with pytest.raises(ValueError, match="concept_id"):
        loss(image, text, torch.tensor(7.0))
    with pytest.raises(ValueError, match="did you mean 'ignored'|did you mean ignored"):
        LabelAwareInfoNCE("ignore")


def test_hard_negative_margin_equals_numpy():
    torch.manual_seed(2)
    image, text = (F.normalize(torch.randn(6, 4), dim=-1) for _ in range(2))
    # rows 0 and 3 are anchors, 1 and 2 hard pairs of 0, 4 one of 3, 5 a filler; 3 is also row 2
    relations = {
        "pair_index": torch.tensor([10, 11, 20, 20, 12, 13]),
        "anchor": torch.tensor([-1, 10, 10, -1, 20, -1]),
    }
    cosine, expected = (image @ text.T).numpy(), 0.0
    for own, hard in ((0, 1), (0, 2), (3, 4)):
        expected += max(0, 0.3 + cosine[own, hard] - cosine[own, own])
        expected += max(0, 0.3 + cosine[hard, own] - cosine[own, own])
    got = HardNegativeMargin(margin=0.3, weight=2.0)(image, text, relations)
    assert np.isclose(got["loss_hard_negatives"].item(), 2 * expected / 6, atol=1e-6)
    assert expected > 0.1
    with pytest.raises(ValueError, match="hard_pairs"):
        HardNegativeMargin()(image, text, {})
