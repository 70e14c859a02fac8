"""Confidence intervals by bootstrap over images: percentile intervals, paired differences.

Images are drawn with replacement (Efron 1979); an image brings all its captions. Equal seeds and
equal numbers of images give equal draws, which is what pairs the differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from react_mm.evaluation.outcomes import Outcomes, hits_of

DRAWS, SEED, LEVEL = 1000, 0, 0.95


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval.

    Attributes:
        value: On the images as they are.
        low: Lower end.
        high: Upper end.
        level: Share of the draws between the ends.
        draws: Number of resamples.
        seed: Of the draws.
    """

    value: float
    low: float
    high: float
    level: float
    draws: int
    seed: int

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval."""
        return not self.low <= value <= self.high

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        return asdict(self)


def image_weights(count: int, draws: int = DRAWS, seed: int = SEED) -> Iterator[np.ndarray]:
    """How often each of ``count`` images was drawn, float (count,), for each resample.

    Raises:
        ValueError: If there are no images or no draws.
    """
    if count < 1 or draws < 1:
        raise ValueError(f"bootstrap of {count} images with {draws} draws")
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        drawn = generator.integers(count, size=count)
        yield np.bincount(drawn, minlength=count).astype(np.float64)


def draw_values(outcomes: Outcomes, draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """The metric on each resample, float (draws,)."""
    return np.array([outcomes.value(w) for w in image_weights(len(outcomes.keys), draws, seed)])


def percentile_interval(
    value: float, drawn: np.ndarray, level: float = LEVEL, seed: int = SEED
) -> Interval:
    """The percentile interval of resampled values.

    Args:
        value: On the images as they are.
        drawn: (draws,) values of the resamples; NaN (a resample without positives) is left out.
        level: Share of the draws between the ends.
        seed: Of the draws, for the record.
    """
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level, len(drawn), seed)


def interval(
    hits: np.ndarray | Sequence[float] | Outcomes,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
    owner: np.ndarray | None = None,
) -> Interval:
    """Interval of a mean of hits, or of any metric given by its outcomes.

    Args:
        hits: (N,) bool or fractions, e.g. averaged over seeds; or :class:`Outcomes`.
        draws: Number of resamples.
        seed: Of the draws.
        level: Share of the draws between the ends.
        owner: (N,) image of each hit, 0, 1, ..., where an image has several (captions).
    """
    outcomes = _outcomes(hits, owner)
    return percentile_interval(outcomes.value(), draw_values(outcomes, draws, seed), level, seed)


def paired_difference(
    hits_a: np.ndarray | Sequence[float] | Outcomes,
    hits_b: np.ndarray | Sequence[float] | Outcomes,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = LEVEL,
    owner: np.ndarray | None = None,
) -> Interval:
    """Interval of ``a - b`` of two models on the same images, drawn together.

    Args:
        hits_a: As for :func:`interval`.
        hits_b: The reference's, on the same images in the same order.
        draws: Number of resamples.
        seed: Of the draws.
        level: Share of the draws between the ends.
        owner: As for :func:`interval`.

    Raises:
        ValueError: If the two are not of the same images.
    """
    first, second = _outcomes(hits_a, owner), _outcomes(hits_b, owner)
    if first.keys != second.keys:
        raise ValueError(
            f"not the same images: {len(first.keys)} and {len(second.keys)}"
            + next(
                (
                    f"; {a!r} against {b!r}"
                    for a, b in zip(first.keys, second.keys, strict=False)
                    if a != b
                ),
                "",
            )
        )
    drawn = draw_values(first, draws, seed) - draw_values(second, draws, seed)
    return percentile_interval(first.value() - second.value(), drawn, level, seed)


def _outcomes(hits: Any, owner: np.ndarray | None) -> Outcomes:
    if isinstance(hits, Outcomes):
        return hits
    hits = np.asarray(hits, dtype=np.float64)
    if hits.ndim != 1 or not len(hits):
        raise ValueError(f"hits have the shape {hits.shape}, expected (images,)")
    if owner is None:
        return hits_of([str(i) for i in range(len(hits))], hits)
    owner = np.asarray(owner)
    if owner.shape != hits.shape:
        raise ValueError(f"{len(hits)} hits with {len(owner)} owners")
    right, count = np.bincount(owner, weights=hits), np.bincount(owner)
    return hits_of([str(i) for i in range(len(count))], right, count)
