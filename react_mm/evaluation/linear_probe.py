"""Linear classifiers on frozen embeddings: probe, few-shot, language-initialised, REAL's ensemble.

The loss is convex and solved to its optimum by L-BFGS, so a head that merely *starts* at the class
embeddings would end where any other ends. "Initialised from class embeddings" therefore means what
it means in a convex problem: the penalty pulls towards them instead of towards zero, and its
strength, chosen on a validation split, says how far the head may leave them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

STRENGTHS = tuple(10.0**power for power in range(-6, 3))
"""Penalties tried by default."""


@dataclass(frozen=True)
class LinearClassifier:
    """Scores ``scale * (features @ weight.T + bias)``.

    Attributes:
        weight: float32 (C, D).
        bias: float32 (C,).
        scale: Inverse temperature, fixed.
        strength: The penalty that it was fitted with; None where nothing was fitted.
    """

    weight: Tensor
    bias: Tensor
    scale: float
    strength: float | None = None

    def __call__(self, features: Tensor) -> Tensor:
        """float (N, D), any norm -> float32 (N, C)."""
        return self.scale * (F.normalize(features.float(), dim=-1) @ self.weight.T + self.bias)


def zero_shot_classifier(class_embeddings: Tensor, scale: float) -> LinearClassifier:
    """The zero-shot classifier as a linear one.

    Args:
        class_embeddings: float (C, D), L2-normalised.
        scale: Inverse temperature, e.g. ``exp(logit_scale)``.
    """
    weight = class_embeddings.float().clone()
    return LinearClassifier(weight, weight.new_zeros(len(weight)), float(scale))


def fit_linear_probe(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    strength: float,
    start: LinearClassifier | None = None,
    scale: float = 100.0,
    max_iterations: int = 200,
) -> LinearClassifier:
    """Minimises the mean loss plus ``strength * scale^2 / 2 * ||W - W0||^2``.

    The loss is cross entropy, or for several labels per image the sum over the classes of binary
    cross entropies. The bias is free.

    Args:
        features: float (N, D), any norm.
        labels: int64 (N,), or uint8 (N, C) where an image has several classes.
        num_classes: C.
        strength: Weight of the penalty, > 0.
        start: W0 (and the scale); zero by default.
        scale: Inverse temperature where ``start`` is not given.
        max_iterations: Of L-BFGS.

    Raises:
        ValueError: If shapes do not fit, a label is out of range or ``strength`` is not positive.
    """
    if strength <= 0:
        raise ValueError(f"the strength of the penalty is {strength}, it must be positive")
    many = labels.ndim == 2
    if len(features) != len(labels) or not len(labels):
        raise ValueError(f"{len(features)} features with {len(labels)} labels")
    if many and labels.shape[1] != num_classes:
        raise ValueError(f"labels have {labels.shape[1]} columns for {num_classes} classes")
    if not many and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(f"labels lie in {int(labels.min())}..{int(labels.max())}")
    x = F.normalize(features.double(), dim=-1)
    scale = scale if start is None else start.scale
    origin = x.new_zeros(num_classes, x.shape[1])
    if start is not None:
        origin = start.weight.double()
    # Unknowns are the change in logits, so that one step length fits every temperature.
    change = torch.zeros_like(origin, requires_grad=True)
    bias = x.new_zeros(num_classes).requires_grad_()
    fixed = scale * (x @ origin.T)
    target = labels.double() if many else labels.long()
    optimizer = torch.optim.LBFGS(
        [change, bias],
        max_iter=max_iterations,
        history_size=20,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = fixed + x @ change.T + bias
        if many:
            loss = (
                F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1).mean()
            )
        else:
            loss = F.cross_entropy(logits, target)
        loss = loss + strength / 2 * change.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    weight = origin + change.detach() / scale
    return LinearClassifier(weight.float(), (bias.detach() / scale).float(), scale, strength)


def choose_strength(
    fit: Callable[[float], LinearClassifier],
    score: Callable[[LinearClassifier], float],
    strengths: Sequence[float] = STRENGTHS,
) -> LinearClassifier:
    """The classifier of the best validation score; of equal ones the strongest penalty.

    Args:
        fit: Strength -> classifier, on the training images.
        score: Classifier -> score on validation images, larger is better.
        strengths: Candidates.

    Raises:
        ValueError: If there are no candidates.
    """
    if not strengths:
        raise ValueError("no strengths to choose from")
    fitted = [fit(strength) for strength in sorted(strengths, reverse=True)]
    scores = [score(classifier) for classifier in fitted]
    return fitted[scores.index(max(scores))]


def accuracy(classifier: LinearClassifier, features: Tensor, labels: Tensor) -> float:
    """Validation score: accuracy; for several labels per image, minus the binary cross entropy."""
    logits = classifier(features)
    if labels.ndim == 2:
        return -float(F.binary_cross_entropy_with_logits(logits, labels.float()))
    return float((logits.argmax(-1) == labels).float().mean())


def average_classifiers(
    first: LinearClassifier, second: LinearClassifier, share: float = 0.5
) -> LinearClassifier:
    """``share`` of the first classifier's weights, the rest of the second's (REAL's ensemble).

    Raises:
        ValueError: If the two have different temperatures or sizes.
    """
    if first.scale != second.scale or first.weight.shape != second.weight.shape:
        raise ValueError("only classifiers of one size and temperature can be averaged")
    return LinearClassifier(
        share * first.weight + (1 - share) * second.weight,
        share * first.bias + (1 - share) * second.bias,
        first.scale,
        first.strength,
    )


def fit_real_probe(
    features: Tensor,
    concepts: Tensor,
    class_embeddings: Tensor,
    scale: float,
    validation: tuple[Tensor, Tensor] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    share: float = 0.5,
    cross_modal: bool = True,
) -> tuple[LinearClassifier, LinearClassifier]:
    """REAL's probe on retrieved pairs ("The Neglected Tails in Vision-Language Models", CVPR 2024).

    A linear classifier is fitted on the frozen embeddings of retrieved images with the concept they
    were retrieved for as label, pulled towards the class embeddings, and its weights are averaged
    with the zero-shot classifier's. No labelled image of the task is used for fitting; validation
    images choose the strength of the pull, scored as the ensemble.

    Args:
        features: Frozen image embeddings of the pairs, float (N, D).
        concepts: int64 (N,), class index of each pair's concept.
        class_embeddings: float (C, D), L2-normalised.
        scale: Inverse temperature.
        validation: Features and labels; without it the middle of ``strengths`` is taken.
        strengths: Candidates.
        share: Share of the probe in the ensemble.
        cross_modal: Also train on each class embedding as a sample of its class, as REAL does.

    Returns:
        The ensemble and the probe alone.
    """
    start = zero_shot_classifier(class_embeddings, scale)
    count = len(class_embeddings)
    if cross_modal:
        features = torch.cat([F.normalize(features.float(), dim=-1), class_embeddings.float()])
        concepts = torch.cat([concepts, torch.arange(count, device=concepts.device)])
    if validation is None:
        strengths = [sorted(strengths)[len(strengths) // 2]]
    best = choose_strength(
        lambda strength: fit_linear_probe(features, concepts, count, strength, start),
        lambda fitted: (
            0.0
            if validation is None
            else accuracy(average_classifiers(fitted, start, share), *validation)
        ),
        strengths,
    )
    return average_classifiers(best, start, share), best
