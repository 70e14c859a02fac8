"""Where two scores meet: detector and VLM, zero-shot and retrieved, local and global.

One family: the geometric mean ``first^(1-w) * second^w`` (F-VLM, arXiv 2209.15639, section 3.3;
F-ViT of CLIPSelf, 2310.01403) and the arithmetic mean ``(1-w) * first + w * second``, with a weight
w per class. ``w = 0`` and ``w = 1`` report each arm alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

KINDS = ("geometric", "arithmetic")
BACKGROUNDS = ("remainder", "detector")
ACTIVATIONS = ("softmax", "sigmoid")
_TINY = 1e-10

PUBLISHED: dict[str, dict[str, Any]] = {
    "f-vlm": dict(base=0.35, novel=0.65, background="detector"),
    "f-vit_ov-coco": dict(base=0.1, novel=0.8),
    "f-vit-b_ov-lvis": dict(base=0.1, novel=0.6),
    "f-vit-l_ov-lvis": dict(base=0.1, novel=0.4),
    "fc-clip": dict(base=0.4, novel=0.8),
    "freeda": dict(base=0.2, novel=0.2, kind="arithmetic"),
}
"""Settings of the published fusions; :class:`ScoreCombiner` takes them as they are.

F-VLM puts both scores through a softmax at temperature .01; F-ViT the detector's at its learned
temperature and the VLM's at 1/75 (OV-COCO) or 1/50 (OV-LVIS): see ``detector_temperature`` and
``vlm_temperature`` of the heads. FC-CLIP (2308.02487) is of segmentation, seen and unseen; FreeDA
(2404.06542) adds .2 of the whole image's cosine to .8 of the pixel's.
"""


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
        return first ** (1 - weight) * second**weight
    if kind == "arithmetic":
        return (1 - weight) * first + weight * second
    raise ValueError(f"unknown score combination {kind!r}; known: {', '.join(KINDS)}")


@MODELS.register_module()
class ScoreCombiner:
    """Combines detector and VLM scores of regions, with a weight for base and one for novel.

    Published settings are in :data:`PUBLISHED`: F-VLM base .35, novel .65 with
    ``background='detector'``; F-ViT base .1, novel .8 (OV-COCO) or .4 to .6 (OV-LVIS).

    Args:
        base: Weight w of the VLM score for base classes, in [0, 1].
        novel: The same for all other classes.
        kind: ``geometric`` or ``arithmetic``.
        background: ``remainder`` gives the background what the classes leave, never less than
            (almost) nothing; ``detector`` keeps the detector's own background score, and all is
            scaled to sum to 1. Without meaning for sigmoid scores, which have no background.
        activation: What makes scores of the detector's logits: ``softmax`` over classes and
            background (two-stage heads), ``sigmoid`` of each class (one-stage heads). The VLM's
            are a softmax over the classes in both cases.
        per_class: Weights of single classes by name, in place of ``base`` and ``novel``.

    Raises:
        ValueError: If a setting is unknown or a weight lies outside [0, 1].
    """

    def __init__(
        self,
        base: float = 0.35,
        novel: float = 0.65,
        kind: str = "geometric",
        background: str = "remainder",
        activation: str = "softmax",
        per_class: Mapping[str, float] | None = None,
    ) -> None:
        self.per_class = dict(per_class or {})
        single = {f"per_class {name!r}": value for name, value in self.per_class.items()}
        for name, value in {"base": base, "novel": novel, **single}.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"score combiner: {name} must lie in [0, 1], got {value}")
        for what, value, known in (
            ("score combination", kind, KINDS),
            ("background", background, BACKGROUNDS),
            ("activation", activation, ACTIVATIONS),
        ):
            if value not in known:
                raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
        self.base, self.novel = base, novel
        self.kind, self.background, self.activation = kind, background, activation

    def weights(self, names: Sequence[str], base_names: Sequence[str]) -> Tensor:
        """Weight of the VLM score per class, float (C,).

        Args:
            names: The C classes.
            base_names: Those that the detector was trained on; all others count as novel.

        Raises:
            ValueError: If ``per_class`` names a class that is none of ``names``.
        """
        unknown = [name for name in self.per_class if name not in set(names)]
        if unknown:
            raise ValueError(
                f"score combiner: per_class names {unknown[:5]}, which are no classes of the "
                f"present vocabulary of {len(names)}{near_matches(unknown[0], names)}"
            )
        known = set(base_names)
        group = [self.base if name in known else self.novel for name in names]
        return torch.tensor([self.per_class.get(n, w) for n, w in zip(names, group, strict=True)])

    def probabilities(self, detector: Tensor, vlm: Tensor, weights: Tensor) -> Tensor:
        """Fused scores.

        Args:
            detector: Logits (N, C + 1), background last, for ``softmax``; (N, C) for ``sigmoid``.
            vlm: Logits (N, C).
            weights: See :meth:`weights`.

        Returns:
            Float of the shape of ``detector``. With ``softmax`` each row sums to 1: the fused
            scores themselves, unless they and the background sum to more (or, with the detector's
            background, to less) than 1, in which case the row is scaled.
        """
        if self.activation == "sigmoid":
            return self.log_combined(logsigmoid(detector), vlm, weights).exp()
        return self.log_probabilities(detector, vlm, weights).exp()

    def log_probabilities(self, detector: Tensor, vlm: Tensor, weights: Tensor) -> Tensor:
        """Logarithm of :meth:`probabilities` with ``softmax``.

        For a head that will apply a softmax once more; arguments as there.
        """
        own = detector.log_softmax(dim=-1)
        fused = self.log_combined(own[:, :-1], vlm, weights)
        if self.background == "detector":
            rest = own[:, -1:]
        else:
            rest = (1.0 - fused.exp().sum(dim=-1, keepdim=True)).clamp_min(_TINY).log()
        return torch.cat([fused, rest], dim=-1).log_softmax(dim=-1)

    def log_combined(self, own: Tensor, vlm: Tensor, weights: Tensor) -> Tensor:
        """Logarithm of :func:`combine`, from logarithms.

        1e-40 to the power of .1 is 1e-4, and float32 has no 1e-40; at temperature .01 such scores
        are common.

        Args:
            own: Logarithms of the detector's scores, float (N, C).
            vlm: Logits of the VLM, float (N, C).
            weights: Float (C,).
        """
        weights, other = weights.to(own), vlm.log_softmax(dim=-1).to(own)
        if self.kind == "geometric":
            return (1 - weights) * own + weights * other
        return torch.logaddexp((1 - weights).log() + own, weights.log() + other)
