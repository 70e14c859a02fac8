"""Trains a vision transformer on part of its patches for most of the iterations."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from open_clip.transformer import PatchDropout
from torch import nn

from react_mm.registry import HOOKS

__all__ = ["PatchDropoutHook"]


@HOOKS.register_module()
class PatchDropoutHook(Hook):
    """Drops patches at random until an iteration, then trains on whole images.

    A step on half of the patches costs about half (Scaling Language-Image Pre-training via
    Masking, arXiv 2212.00794); the last iterations close the gap to whole images.

    Args:
        prob: Share of the patches that is left out, in [0, 1).
        until: Iteration from which on whole images are used.
    """

    def __init__(self, prob: float, until: int) -> None:
        if not 0.0 <= prob < 1.0:
            raise ValueError(f"PatchDropoutHook: prob must lie in [0, 1), not {prob}")
        self.prob, self.until = prob, until

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Puts open_clip's own patch dropout into the tower, or takes it out."""
        visual = runner.model.image_tower.visual
        wanted = runner.iter < self.until
        if wanted != isinstance(visual.patch_dropout, PatchDropout):
            visual.patch_dropout = PatchDropout(self.prob) if wanted else nn.Identity()
            visual.patch_dropout.train()
