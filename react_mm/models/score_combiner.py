"""Where two scores meet: detector and VLM, zero-shot and retrieved, local and global.

One family: the geometric mean ``first^(1-w) * second^w`` (F-VLM, arXiv 2209.15639; F-ViT of
CLIPSelf, 2310.01403) and the arithmetic mean ``(1-w) * first + w * second``, with a weight w per
class. ``w = 0`` and ``w = 1`` report each arm alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from react_mm.registry import MODELS

KINDS = ("geometric", "arithmetic")
BACKGROUNDS = ("remainder", "detector")
_TINY = 1e-10


def combine(first: Tensor, second: Tensor, weight: Tensor | float, kind: str) -> Tensor:
    """Combines two scores.

    Args:
        first: Scores in [0, 1], float (..., C).
        second: Scores in [0, 1], float (..., C).
        weight: w in [0, 1] of ``second``, one number or one per class (C,).
        kind: ``geometric`` or ``arithmetic``.

    Returns:
        Float (..., C). Over classes of different weights a geometric mean of two distributions may
        sum to more than 1.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    if kind == "geometric":
        return first.clamp_min(_TINY) ** (1 - weight) * second.clamp_min(_TINY) ** weight
    if kind == "arithmetic":
        return (1 - weight) * first + weight * second
    raise ValueError(f"unknown score combination {kind!r}; known: {', '.join(KINDS)}")


@MODELS.register_module()
class ScoreCombiner:
    """Combines detector and VLM scores of regions, with a weight for base and one for novel.

    Published settings: F-VLM base .35, novel .65 with ``background='detector'``; F-ViT base .1,
    novel .8 (OV-COCO).

    Args:
        base: Weight w of the VLM score for base classes, in [0, 1].
        novel: The same for all other classes.
        kind: ``geometric`` or ``arithmetic``.
        background: ``remainder`` gives the background what the classes leave, never less than
            (almost) nothing; ``detector`` keeps the detector's own background score, and all is
            scaled to sum to 1.

    Raises:
        ValueError: If a setting is unknown or a weight lies outside [0, 1].
    """

    def __init__(
        self,
        base: float = 0.35,
        novel: float = 0.65,
        kind: str = "geometric",
        background: str = "remainder",
    ) -> None:
        for name, value in (("base", base), ("novel", novel)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"score combiner: {name} must lie in [0, 1], got {value}")
        if kind not in KINDS:
            raise ValueError(f"unknown score combination {kind!r}; known: {', '.join(KINDS)}")
        if background not in BACKGROUNDS:
            raise ValueError(f"unknown background {background!r}; known: {', '.join(BACKGROUNDS)}")
        self.base, self.novel = base, novel
        self.kind, self.background = kind, background

    def weights(self, names: Sequence[str], base_names: Sequence[str]) -> Tensor:
        """Weight of the VLM score per class, float (C,).

        Args:
            names: The C classes.
            base_names: Those that the detector was trained on; all others count as novel.
        """
        known = set(base_names)
        return torch.tensor([self.base if name in known else self.novel for name in names])

    def log_probabilities(self, detector: Tensor, vlm: Tensor, weights: Tensor) -> Tensor:
        """Fused log probabilities, for a head that will apply a softmax once more.

        Args:
            detector: Logits (N, C + 1), background last.
            vlm: Logits (N, C).
            weights: See :meth:`weights`.

        Returns:
            Float (N, C + 1), background last. Their softmax is the fused scores themselves, unless
            these sum to more than 1: then they are scaled to sum to 1.
        """
        scores = detector.softmax(dim=-1)
        fused = combine(scores[:, :-1], vlm.softmax(dim=-1), weights.to(scores), self.kind)
        if self.background == "detector":
            rest = scores[:, -1:]
        else:
            rest = 1.0 - fused.sum(dim=-1, keepdim=True)
        together = torch.cat([fused, rest], dim=-1).clamp_min(_TINY)
        return (together / together.sum(dim=-1, keepdim=True)).log()
