"""Figures of a diagnosis of dense features: curves over the blocks, maps of token norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from react_mm.manifest import atomic_path

matplotlib.use("Agg")
from matplotlib.figure import Figure  # noqa: E402  (after the backend)

PANELS = (
    ("norm of patch tokens", ("norm_median", "norm_max", "class_norm"), True),
    ("share of outlier tokens", ("outlier_share",), False),
    ("similarity of tokens", ("class_similarity", "patch_similarity"), False),
    ("similarity in the joint space", ("joint_similarity", "pooled_similarity"), False),
)
MAPS = 5


def draw_curves(report: Mapping[str, Any], path: str | Path) -> None:
    """Draws the figures of every block as curves.

    Args:
        report: Of :func:`react_mm.apis.dense_diagnosis.diagnose`.
        path: PNG to write.
    """
    layers: Sequence[Mapping[str, Any]] = report["layers"]
    accuracy = "accuracy" in layers[0]
    count = len(PANELS) + accuracy
    figure = Figure(figsize=(3.4 * count, 3), layout="constrained")
    axes = figure.subplots(1, count)
    for axis, (title, keys, logarithmic) in zip(axes, PANELS, strict=False):
        for key in keys:
            axis.plot([row[key] for row in layers], label=key.replace("_", " "), marker=".")
        axis.set_title(title)
        if logarithmic:
            axis.set_yscale("log")
        axis.legend(fontsize=7)
    if accuracy:
        for mode in layers[0]["accuracy"]:
            values = [row["accuracy"][mode] for row in layers]
            axes[-1].plot(values, label=mode, marker=".")
        axes[-1].set_title("share of pixels named rightly")
        axes[-1].legend(fontsize=7)
    for axis in axes:
        axis.set_xlabel("block")
    figure.suptitle(f"{report['tower']}, {report['images']} images", fontsize=9)
    _save(figure, path)


def draw_norms(picture: Image.Image, norms: Sequence[np.ndarray], path: str | Path) -> None:
    """Draws an image and the norms of its patch tokens behind some of the blocks.

    Args:
        picture: The image.
        norms: Per block float (rows, columns).
        path: PNG to write.
    """
    shown = sorted({round(i) for i in np.linspace(0, len(norms) - 1, MAPS)})
    figure = Figure(figsize=(2.2 * (1 + len(shown)), 2.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(shown))
    axes[0].imshow(picture)
    for axis, index in zip(axes[1:], shown, strict=True):
        drawn = axis.imshow(norms[index])
        axis.set_title(f"block {index}", fontsize=8)
        figure.colorbar(drawn, ax=axis, fraction=0.046)
    for axis in axes:
        axis.set_axis_off()
    _save(figure, path)


def _save(figure: Figure, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
