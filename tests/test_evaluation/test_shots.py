import pytest
import torch

from react_mm.evaluation.shots import draw_shots, hold_out

LABELS = torch.tensor([0] * 10 + [1] * 4 + [2])


def test_draws_are_balanced_repeatable_and_differ_by_seed():
    first = draw_shots(LABELS, 3, 3, seed=0)
    assert torch.bincount(LABELS[first]).tolist() == [3, 3, 1]  # class 2 has one image
    assert torch.equal(first, draw_shots(LABELS, 3, 3, seed=0))
    draws = {tuple(draw_shots(LABELS, 3, 3, seed=s).tolist()) for s in range(8)}
    assert len(draws) > 3
    assert torch.equal(draw_shots(LABELS, 3, None, seed=5), torch.arange(15))
    with pytest.raises(ValueError, match="class 3 has no image"):
        draw_shots(LABELS, 4, 1, seed=0)
    assert len(draw_shots(LABELS, 4, 1, seed=0, partial=True)) == 3
    with pytest.raises(ValueError, match="0 shots"):
        draw_shots(LABELS, 3, 0, seed=0)


def test_images_of_several_classes_are_drawn_once():
    many = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]], dtype=torch.uint8)
    rows = draw_shots(many, 2, 2, seed=1)
    assert len(rows.unique()) == len(rows)
    assert (many[rows].sum(0) >= 2).all()


def test_held_out_images_are_never_trained_on_and_keep_every_class():
    train, held = hold_out(LABELS, 3, 0.2)
    assert torch.bincount(LABELS[held]).tolist() == [2, 1, 1]
    assert torch.bincount(LABELS[train]).tolist() == [8, 3, 1]
    assert set(train.tolist()) & set(held.tolist()) == {14}  # the only image of its class
    assert len(train) + len(held) == 16
    with pytest.raises(ValueError, match="cannot be held out"):
        hold_out(LABELS, 3, 1.0)
