"""Patches are dropped while the hook says so, in training only."""

from types import SimpleNamespace

import pytest
import torch

from react_mm.models.backbones.clip_vit import CLIPViT
from react_mm.toy.patch_dropout_hook import PatchDropoutHook


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    return CLIPViT("toy-vit", frozen=False)


def _tokens(tower):
    seen = []
    block = tower.insertion_points()[0]
    handle = block.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    tower.encode_image(torch.rand(2, 3, 64, 64))
    handle.remove()
    return seen[0]


def test_until_an_iteration_and_not_after(tower):
    hook = PatchDropoutHook(prob=0.5, until=3)
    counts = []
    for iteration in range(5):
        tower.train()
        model = SimpleNamespace(image_tower=tower)
        hook.before_train_iter(SimpleNamespace(iter=iteration, model=model), 0)
        counts.append(_tokens(tower))
    assert counts == [33, 33, 33, 65, 65]  # class token + 32 or 64 patches


def test_evaluation_sees_whole_images_and_the_state_is_unchanged(tower):
    names = set(tower.state_dict())
    hook = PatchDropoutHook(prob=0.5, until=3)
    hook.before_train_iter(SimpleNamespace(iter=0, model=SimpleNamespace(image_tower=tower)), 0)
    assert set(tower.state_dict()) == names
    tower.eval()
    assert _tokens(tower) == 65


@pytest.mark.parametrize("prob", [-0.1, 1.0])
def test_probability_is_checked(prob):
    with pytest.raises(ValueError, match="prob"):
        PatchDropoutHook(prob, 1)
