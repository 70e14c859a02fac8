"""The linear baseline on data whose answer is known."""

import pytest
import torch
import torch.nn.functional as F

from react_mm.evaluation.linear_head import fit_linear_head


def rotated_pairs(n=400, d=16, seed=0):
    """Texts, and images that are the texts turned by a fixed rotation plus noise."""
    generator = torch.Generator().manual_seed(seed)
    text = F.normalize(torch.randn(n, d, generator=generator), dim=-1)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator))[0]
    return text @ rotation.T + 0.02 * torch.randn(n, d, generator=generator), text


def recall(head, image, text):
    best = (F.normalize(head(F.normalize(image, dim=-1)), dim=-1) @ text.T).argmax(1)
    return (best == torch.arange(len(text))).float().mean().item()


def test_it_learns_a_rotation_and_generalises():
    image, text = rotated_pairs()
    head = fit_linear_head(
        image[:300], text[:300], epochs=60, batch_size=32, lr=2e-2, logit_scale=2.3
    )
    untrained = fit_linear_head(image[:300], text[:300], epochs=0)
    assert recall(untrained, image[300:], text[300:]) < 0.1
    assert recall(head, image[300:], text[300:]) > 0.9


def test_the_teacher_keeps_general_images_in_place():
    image, text = rotated_pairs()
    general = torch.randn(200, 16, generator=torch.Generator().manual_seed(9))

    def moved(head):
        x = F.normalize(general, dim=-1)
        return (1 - F.cosine_similarity(head(x), x, dim=-1)).mean().item()

    free = moved(fit_linear_head(image, text, lr=1e-2, logit_scale=2.3))
    kept = moved(
        fit_linear_head(image, text, general, teacher_weight=50.0, lr=1e-2, logit_scale=2.3)
    )
    assert kept < free / 2


def test_zero_epochs_is_the_identity_and_seeds_reproduce():
    image, text = rotated_pairs(50)
    head = fit_linear_head(image, text, epochs=0)
    assert torch.equal(head.weight, torch.eye(16)) and not head.bias.any()
    first, again = (fit_linear_head(image, text, epochs=2, batch_size=8, seed=3) for _ in range(2))
    assert torch.equal(first.weight, again.weight)
    other = fit_linear_head(image, text, epochs=2, batch_size=8, seed=4)
    assert not torch.equal(first.weight, other.weight)


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="linear head"):
        fit_linear_head(torch.zeros(3, 4), torch.zeros(2, 4))
