"""What a model got right, image by image: enough to compute a metric again on resampled images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from react_mm.manifest import atomic_path

Arrays = Mapping[str, np.ndarray]


def ratio(arrays: Arrays, weights: np.ndarray) -> float:
    """Accuracy or recall: sum of ``hits`` over sum of ``count`` (questions asked of an image).

    NaN where nothing was asked.
    """
    total = weights @ arrays["count"]
    return float(weights @ arrays["hits"] / total) if total else float("nan")


def class_mean(arrays: Arrays, weights: np.ndarray) -> float:
    """Mean over the classes that have images of the fraction of ``hits`` with that ``label``."""
    label = arrays["label"]
    present = np.bincount(label, weights=weights)
    right = np.bincount(label, weights=weights * arrays["hits"])
    return float((right[present > 0] / present[present > 0]).mean())


def roc_auc(arrays: Arrays, weights: np.ndarray) -> float:
    """Area under the ROC curve of ``score`` (N,) for ``label`` (N,) of 0 and 1; ties count half.

    Equal to the probability that a positive scores above a negative (Mann-Whitney); NaN where one
    of the two is absent.
    """
    score, inverse = np.unique(arrays["score"], return_inverse=True)
    positive = np.bincount(inverse, weights=weights * (arrays["label"] == 1), minlength=len(score))
    negative = np.bincount(inverse, weights=weights * (arrays["label"] == 0), minlength=len(score))
    below = np.concatenate([[0.0], np.cumsum(negative)[:-1]])
    total = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / total) if total else float("nan")


def eleven_point_map(arrays: Arrays, weights: np.ndarray) -> float:
    """VOC2007's mean average precision of ``scores`` (N, C) for ``labels`` (N, C) of 0 and 1.

    For each class the mean, over the recalls 0, 0.1, ..., 1, of the largest precision at that
    recall or beyond (Everingham et al., the VOC development kit of 2007). Classes without a
    positive image are left out.
    """
    order = np.argsort(-arrays["scores"], axis=0, kind="stable")
    right = np.take_along_axis(arrays["labels"], order, axis=0) * weights[order]
    found, seen = np.cumsum(right, axis=0), np.cumsum(weights[order], axis=0)
    total = found[-1]
    kept = total > 0
    precision = found[:, kept] / np.maximum(seen[:, kept], 1e-12)
    recall = found[:, kept] / total[kept]
    points = [
        np.where(recall >= level - 1e-9, precision, 0.0).max(axis=0)
        for level in np.linspace(0, 1, 11)
    ]
    return float(np.mean(points))


def mean_iou(arrays: Arrays, weights: np.ndarray) -> float:
    """Mean over the classes that occur of pixels in ``common`` over ``predicted`` or ``labelled``.

    All are counts of pixels, (N, C).
    """
    common, predicted, labelled = (
        weights @ arrays[name] for name in ("common", "predicted", "labelled")
    )
    union = predicted + labelled - common
    return float((common[union > 0] / union[union > 0]).mean())


STATISTICS: dict[str, Callable[[Arrays, np.ndarray], float]] = {
    "ratio": ratio,
    "class_mean": class_mean,
    "roc_auc": roc_auc,
    "eleven_point_map": eleven_point_map,
    "mean_iou": mean_iou,
}


@dataclass(frozen=True)
class Outcomes:
    """The images of one metric.

    Attributes:
        kind: A key of :data:`STATISTICS`.
        keys: Image keys, N.
        arrays: What the statistic reads; the first dimension of each is N.
    """

    kind: str
    keys: tuple[str, ...]
    arrays: Arrays

    def __post_init__(self) -> None:
        if self.kind not in STATISTICS:
            raise ValueError(f"unknown statistic {self.kind!r}; known: {', '.join(STATISTICS)}")
        for name, array in self.arrays.items():
            if len(array) != len(self.keys):
                raise ValueError(f"{name} has {len(array)} rows for {len(self.keys)} images")

    def value(self, weights: np.ndarray | None = None) -> float:
        """The metric, a fraction.

        Args:
            weights: How often each image counts, (N,); once each by default.
        """
        if weights is None:
            weights = np.ones(len(self.keys))
        return STATISTICS[self.kind](self.arrays, np.asarray(weights, dtype=np.float64))


def hits_of(keys: Sequence[str], hits: np.ndarray, count: np.ndarray | None = None) -> Outcomes:
    """Outcomes of an accuracy or recall.

    Args:
        keys: Image keys, N.
        hits: (N,) right answers of each image: a bool, or a number where several are asked.
        count: (N,) questions asked of each image; 1 by default.
    """
    hits = np.asarray(hits, dtype=np.float32)
    count = np.ones_like(hits) if count is None else np.asarray(count, dtype=np.float32)
    return Outcomes("ratio", tuple(keys), {"hits": hits, "count": count})


def average(runs: Sequence[Outcomes]) -> Outcomes | None:
    """Outcomes of several runs (seeds) on the same images as one whose value is the runs' mean.

    Returns:
        None for statistics that are not linear in what is averaged (AUC, mAP).

    Raises:
        ValueError: If the runs are of different metrics or images.
    """
    first = runs[0]
    if any(run.kind != first.kind or run.keys != first.keys for run in runs):
        raise ValueError("only runs of one metric on the same images can be averaged")
    if first.kind not in ("ratio", "class_mean"):
        return None
    hits = np.mean([run.arrays["hits"] for run in runs], axis=0)
    return Outcomes(first.kind, first.keys, {**first.arrays, "hits": hits})


def save_outcomes(path: str | Path, outcomes: Mapping[str, Outcomes]) -> None:
    """Writes outcomes by metric name to an ``.npz`` file, atomically; nothing is pickled."""
    arrays: dict[str, np.ndarray] = {}
    kinds = []
    for position, (name, entry) in enumerate(outcomes.items()):
        kinds.append({"metric": name, "kind": entry.kind, "arrays": list(entry.arrays)})
        arrays[f"{position}/keys"] = np.array(entry.keys, dtype=np.str_)
        arrays |= {f"{position}/{key}": np.asarray(a) for key, a in entry.arrays.items()}
    arrays["card"] = np.array(json.dumps(kinds))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_outcomes(path: str | Path) -> dict[str, Outcomes]:
    """Reads what :func:`save_outcomes` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds something else.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist: run the comparison again")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {
                entry["metric"]: Outcomes(
                    entry["kind"],
                    tuple(stored[f"{position}/keys"].tolist()),
                    {key: stored[f"{position}/{key}"] for key in entry["arrays"]},
                )
                for position, entry in enumerate(json.loads(str(stored["card"])))
            }
    except Exception as error:  # numpy and zipfile raise whatever the damage leads to
        raise ValueError(f"{path} holds no outcomes ({error}); remove it and run again") from error
