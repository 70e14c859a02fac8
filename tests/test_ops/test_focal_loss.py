"""Sigmoid focal loss against its formula and autograd, through mmcv's class."""

import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)


def by_formula(logits, target, gamma, alpha):
    """Eq. 5 of the paper, term by term."""
    rows = []
    for row, label in zip(logits, target.tolist(), strict=True):
        for c, x in enumerate(row):
            p = 1 / (1 + torch.exp(-x))
            positive = -alpha * (1 - p) ** gamma * torch.log(p)
            negative = -(1 - alpha) * p**gamma * torch.log(1 - p)
            rows.append(positive if c == label else negative)
    return torch.stack(rows).reshape(logits.shape)


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_equals_formula_with_gradients(gamma, reduction):
    from mmcv.ops import SigmoidFocalLoss

    logits = torch.randn(7, 5, dtype=torch.float64) * 4
    target = torch.tensor([0, 4, 5, 2, 5, 1, 0])  # 5 is background
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = SigmoidFocalLoss(gamma, 0.3, reduction=reduction)(ours, target)
    expected = by_formula(theirs, target, gamma, 0.3)
    if reduction != "none":
        expected = expected.sum() / (len(logits) if reduction == "mean" else 1)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)
    pull = torch.rand_like(expected)
    (loss * pull).sum().backward()
    (expected * pull).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-10)


def test_gradcheck():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 3, 2, 1])
    assert torch.autograd.gradcheck(
        lambda x: sigmoid_focal_loss(x, target, 2.0, 0.25, None, "none"), (logits,)
    )


def test_large_logits_stay_finite_and_exact():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.tensor([[-200.0, 200.0], [200.0, -200.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([0, 0]), 2.0, 0.25, None, "none")
    torch.testing.assert_close(loss, torch.tensor([[50.0, 150.0], [0.0, 0.0]]))
    loss.sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.75], [0.0, 0.0]]))


def test_class_weights_go_by_the_target():
    from mmcv.ops import SigmoidFocalLoss

    logits, target = torch.randn(3, 2), torch.tensor([1, 0, 1])
    plain = SigmoidFocalLoss(2.0, 0.25, reduction="none")(logits, target)
    weighted = SigmoidFocalLoss(2.0, 0.25, torch.tensor([2.0, 3.0]), "none")(logits, target)
    torch.testing.assert_close(weighted, plain * torch.tensor([[3.0], [2.0], [3.0]]))
    with pytest.raises(ValueError, match="outside them"):
        SigmoidFocalLoss(2.0, 0.25, torch.ones(2), "none")(logits, torch.tensor([1, 0, 2]))


def test_nothing_and_half_precision():
    from mmcv.ops import sigmoid_focal_loss

    empty = torch.zeros(0, 4, requires_grad=True)
    loss = sigmoid_focal_loss(empty, torch.zeros(0, dtype=torch.long), 2.0, 0.25, None, "sum")
    loss.backward()
    assert loss == 0 and empty.grad.shape == (0, 4)
    logits = torch.randn(6, 3)
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    half = sigmoid_focal_loss(logits.bfloat16(), target, 2.0, 0.25, None, "none")
    assert half.dtype == torch.bfloat16
    exact = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0.01)


def test_mmdets_loss_uses_the_same_numbers():
    """mmdet calls the extension on CUDA only; its Python path on the CPU must agree."""
    from mmcv.ops import sigmoid_focal_loss
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    logits, target = torch.randn(5, 3), torch.tensor([0, 3, 1, 2, 3])
    one_hot = torch.nn.functional.one_hot(target, 4)[:, :3]
    expected = py_sigmoid_focal_loss(logits, one_hot, reduction="sum")
    got = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "sum")
    torch.testing.assert_close(got, expected)
