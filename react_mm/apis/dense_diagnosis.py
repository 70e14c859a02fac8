"""Why dense features of a tower are good or bad, block by block, on the user's own images.

Large towers score below small ones under every training-free method (facts D2). What can be seen
without labels: a few patch tokens that grow much longer than the rest, patch tokens that all come
to resemble the class token, and cells that all come to resemble each other. With label maps: which
block's tokens name the cells best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from torch import Tensor, nn

from react_mm.apis.inference_inputs import files_in
from react_mm.apis.inference_model import load_inference_model, tower_of
from react_mm.manifest import write_json
from react_mm.models.layers.dense_attention import DENSE_MODES
from react_mm.models.layers.dense_remedies import dense_at, outliers
from react_mm.reporting.dense_diagnosis import draw_curves, draw_norms

REPORT, CURVES, NORMS = "diagnosis.json", "layers.png", "norms.png"
OUTLIER_RATIO = 3.0
IGNORED = 255


def diagnose(
    model: str | Path | Config | nn.Module,
    images: str | Path,
    out: str | Path,
    names: Sequence[str] | None = None,
    masks: str | Path | None = None,
    size: int | None = None,
    at_most: int = 20,
    outlier_ratio: float = OUTLIER_RATIO,
    device: str | None = None,
    **loading: Any,
) -> dict[str, Any]:
    """Measures every block of a tower and writes a table and two figures.

    Args:
        model: Config of a segmentor, detector or classifier with a :class:`CLIPViT`, or such a
            tower itself.
        images: An image file or a folder.
        out: Output folder: ``diagnosis.json``, ``layers.png``, ``norms.png``.
        names: Class names; needs a model with a class embedder.
        masks: Folder of label maps named as the images (PNG; label i is ``names[i]``, 255 is
            ignored): then each block's share of rightly named cells is measured.
        size: Short side of the images in pixels; None: the tower's own.
        at_most: Images taken, the first ones in order of their names.
        outlier_ratio: A token is an outlier that is longer than this many medians.
        device: Where to run; None: CUDA if there is one.
        **loading: Further arguments of :func:`load_inference_model`: ``options``, ``delta``,
            ``gate_scale``, ``checkpoint``.

    Returns:
        What ``diagnosis.json`` holds: ``layers`` (a list, first block first) with ``norm_median,
        norm_max, outlier_share, class_norm, class_similarity, patch_similarity, joint_similarity,
        pooled_similarity`` and with masks ``accuracy`` per dense mode; ``advice`` in words.

    Raises:
        ValueError: If the tower is no ``CLIPViT``, ``masks`` stands without ``names``, or there is
            no image.
        FileNotFoundError: If an image has no label map.
    """
    if masks is not None and not names:
        raise ValueError("masks need names: label i of a map is names[i]")
    if not isinstance(model, nn.Module):
        model = load_inference_model(model, device=device, **loading).model
    tower = model if hasattr(model, "dense_embedding") else tower_of(model)
    if not hasattr(tower, "before_block"):
        raise ValueError(
            f"{type(tower).__name__} has no blocks to look into: the diagnosis is for CLIPViT"
        )
    classes = None
    if names:
        if not hasattr(model, "set_vocabulary"):
            raise ValueError("names need a model with a class embedder, not a tower alone")
        model.set_vocabulary(tuple(names))
        classes = model.class_similarity
    entries = files_in(images)[:at_most]
    if not entries:
        raise ValueError(f"{images} holds no image")
    rows, first = [], None
    for entry in entries:
        picture, _ = entry.read()
        x = _prepared(picture, tower, size).to(next(tower.parameters()).device)
        label = None if masks is None else _label_map(Path(masks), entry.name)
        found, norms = measure(tower, x, outlier_ratio, classes, label)
        rows.append(found)
        first = first or (picture, norms)
    report = _summary(rows, outlier_ratio, tower)
    out = Path(out)
    write_json(out / REPORT, report)
    draw_curves(report, out / CURVES)
    draw_norms(*first, out / NORMS)
    return report


@torch.no_grad()
def measure(
    tower: nn.Module,
    image: Tensor,
    outlier_ratio: float = OUTLIER_RATIO,
    similarity: Any = None,
    label: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Figures of every block for one image.

    Args:
        tower: :class:`CLIPViT`.
        image: Normalised, float (1, 3, H, W).
        outlier_ratio: See :func:`diagnose`.
        similarity: From embeddings (..., D) to cosines (..., C), for ``label``.
        label: Label map int (h, w) of the image at any size.

    Returns:
        Figures per block, and the norms of its patch tokens (rows, columns).
    """
    kept: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _, __, y: kept.append(y))
        for block in tower.insertion_points()
    ]
    try:
        pooled = F.normalize(tower.encode_image(image), dim=-1)
    finally:
        for hook in hooks:
            hook.remove()
    if len(kept) != len(hooks):
        raise ValueError("blocks that attend in windows are not called alone: no window_size here")
    grid = tuple(-(-side // tower.stride) for side in image.shape[-2:])
    figures, norms = [], []
    for layer, tokens in enumerate(kept):
        patches, own = tokens[:, 1:], tokens[:, 0]
        length = patches.norm(dim=-1)
        joint = F.normalize(tower.visual.ln_post(patches) @ tower.visual.proj, dim=-1)
        row = dict(
            norm_median=length.median(),
            norm_max=length.max(),
            outlier_share=outliers(patches, outlier_ratio).float().mean(),
            class_norm=own.norm(),
            class_similarity=F.cosine_similarity(patches, own[:, None], dim=-1).mean(),
            patch_similarity=_mean_similarity(F.normalize(patches, dim=-1)),
            joint_similarity=_mean_similarity(joint),
            pooled_similarity=(joint @ pooled[0]).mean(),
        )
        entry: dict[str, Any] = {key: float(value) for key, value in row.items()}
        if label is not None:
            entry["accuracy"] = _accuracies(tower, image, layer, similarity, label)
        figures.append(entry)
        norms.append(length[0].unflatten(0, grid).float().cpu().numpy())
    return figures, norms


def _mean_similarity(unit: Tensor) -> Tensor:
    """Mean cosine of two different tokens, from unit tokens (1, N, C)."""
    count = unit.shape[1]
    total = unit.sum(dim=1).square().sum()
    return (total - count) / max(count * (count - 1), 1)


def _accuracies(
    tower: nn.Module, image: Tensor, layer: int, similarity: Any, label: np.ndarray
) -> dict[str, float]:
    """Share of rightly named pixels per dense mode, with that mode's form in this block."""
    target = torch.from_numpy(label.astype(np.int64)).to(image.device)
    counted = target != IGNORED
    mode, found = tower.dense_mode, {}
    try:
        for name in DENSE_MODES:
            tower.dense_mode = name
            cells = similarity(dense_at(tower, image, layer).movedim(1, -1)).movedim(-1, 1)
            size = [side * tower.stride for side in cells.shape[-2:]]
            pixels = F.interpolate(cells, size, mode="bilinear")
            pixels = pixels[..., : image.shape[-2], : image.shape[-1]]
            pixels = F.interpolate(pixels, label.shape, mode="bilinear")[0].argmax(0)
            right = (pixels == target)[counted]
            found[name] = float(right.float().mean()) if right.numel() else float("nan")
    finally:
        tower.dense_mode = mode
    return found


def _summary(rows: Sequence[Sequence[Mapping]], ratio: float, tower: nn.Module) -> dict[str, Any]:
    layers = []
    for per_image in zip(*rows, strict=True):
        layer: dict[str, Any] = {
            key: float(np.mean([row[key] for row in per_image]))
            for key in per_image[0]
            if key != "accuracy"
        }
        if "accuracy" in per_image[0]:
            layer["accuracy"] = {
                mode: float(np.nanmean([row["accuracy"][mode] for row in per_image]))
                for mode in per_image[0]["accuracy"]
            }
        layers.append(layer)
    return {
        "tower": getattr(tower, "arch", type(tower).__name__),
        "images": len(rows),
        "outlier_ratio": ratio,
        "layers": layers,
        "advice": advice(layers, ratio),
    }


def advice(layers: Sequence[Mapping[str, Any]], ratio: float) -> list[str]:
    """What the figures say, and the switches of ``TrainingFreeSegmentor`` that answer it.

    Args:
        layers: Figures per block, first block first.
        ratio: The outlier ratio they were taken with.
    """
    found, last = [], layers[-1]
    worst = max(range(len(layers)), key=lambda i: layers[i]["outlier_share"])
    if layers[worst]["outlier_share"] > 0:
        share = 100 * layers[worst]["outlier_share"]
        found.append(
            f"{share:.2f} % of the patch tokens behind block {worst} are longer than {ratio:g} "
            f"medians: try model.outlier_ratio={ratio:g}"
        )
    least = min(range(len(layers)), key=lambda i: layers[i]["patch_similarity"])
    if last["patch_similarity"] - layers[least]["patch_similarity"] > 0.1:
        found.append(
            f"patch tokens resemble each other more at the end ({last['patch_similarity']:.2f}) "
            f"than behind block {least} ({layers[least]['patch_similarity']:.2f}): try "
            "model.layer at an earlier block"
        )
    if "accuracy" in last:
        tried = [
            (value, i, mode)
            for i, row in enumerate(layers)
            for mode, value in row["accuracy"].items()
        ]
        best = max(tried, key=lambda entry: entry[0])
        found.append(
            f"most cells are named rightly ({100 * best[0]:.1f} %) with dense_mode={best[2]!r} at "
            f"model.layer={best[1]} (the last block is {len(layers) - 1})"
        )
    return found


def _prepared(picture: Image.Image, tower: nn.Module, size: int | None) -> Tensor:
    """A picture as the tower takes it, float (1, 3, H, W)."""
    preprocess = tower.preprocess
    scale = (size or min(preprocess["size"])) / min(picture.size)
    target = [max(round(side * scale), 1) for side in picture.size]
    pixels = np.asarray(picture.convert("RGB").resize(target, Image.Resampling.BICUBIC))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(preprocess[k]).view(3, 1, 1) for k in ("mean", "std"))
    return (x - mean) / std


def _label_map(folder: Path, name: str) -> np.ndarray:
    path = folder / Path(name).with_suffix(".png")
    if not path.is_file():
        raise FileNotFoundError(f"image {name} has no label map {path}")
    return np.asarray(Image.open(path)).astype(np.int64)
