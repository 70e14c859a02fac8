"""Losses against numpy."""

import numpy as np
import torch
import torch.nn.functional as F

from react_mm.models.losses import InfoNCE, teacher_loss


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
