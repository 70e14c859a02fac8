"""Boxes and masks of a few test scenes, before and after, for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from PIL import Image

from react_mm.manifest import read_json, write_json
from react_mm.toy.world import concept_names, target_names

SCENES = 6
SCORE_THRESHOLD = 0.3


def wanted(task: str, arm: str) -> bool:
    """Whether a task's pictures are drawn for an arm."""
    return task in ("detection", "segmentation") and arm in ("before", "after")


def save(task: str, runner: Runner, out: Path) -> None:
    """Predicts the first test scenes that hold an object of the target family.

    Args:
        task: ``detection`` or ``segmentation``.
        runner: The runner that has just tested; its model and data set are used.
        out: JSON file to write; label maps go beside it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    dataset = runner.test_dataloader.dataset
    rows = []
    runner.model.eval()
    for index in range(len(dataset)):
        sample = dataset[index]
        truth = _boxes(sample) if task == "detection" else _labels(sample)
        if not _has_target(truth):
            continue
        with torch.no_grad():
            (predicted,) = runner.model.test_step(pseudo_collate([sample]))
        row: dict[str, Any] = {"image": str(Path(predicted.img_path).resolve())}
        if task == "detection":
            row.update(truth=truth, found=_found(predicted, truth))
        else:
            name = f"{out.stem}-{index:06d}"
            row["truth"] = _write(truth, out.parent / f"{name}-truth.png")
            labels = predicted.pred_sem_seg.data.squeeze(0).cpu().numpy()
            row["found"] = _write(labels, out.parent / f"{name}.png")
        rows.append(row)
        if len(rows) == SCENES:
            break
    write_json(out, rows)


def collect(folder: Path, gallery: list[dict[str, Any]]) -> None:
    """Joins the arms' pictures and the gallery into ``artefacts.json``."""
    artefacts: dict[str, Any] = {"names": list(concept_names()), "gallery": gallery}
    for task, name in (("detection", "detections"), ("segmentation", "masks")):
        before, after = (read_json(folder / f"{task}-{arm}.json") for arm in ("before", "after"))
        artefacts[name] = [
            {
                "image": first["image"],
                "truth": first["truth"],
                "before": first["found"],
                "after": second["found"],
            }
            for first, second in zip(before, after, strict=True)
        ]
    write_json(folder / "artefacts.json", artefacts)


def _boxes(sample: dict[str, Any]) -> list[dict[str, Any]]:
    instances = sample["data_samples"].gt_instances
    names = concept_names()
    boxes = instances.bboxes.tensor if hasattr(instances.bboxes, "tensor") else instances.bboxes
    return [
        {"box": [float(v) for v in box], "name": names[int(label)]}
        for box, label in zip(boxes.numpy(), instances.labels.numpy(), strict=True)
    ]


def _labels(sample: dict[str, Any]) -> np.ndarray:
    return sample["data_samples"].gt_sem_seg.data.squeeze(0).numpy()


def _has_target(truth: Any) -> bool:
    names = concept_names()
    if isinstance(truth, list):
        return any(thing["name"] in target_names() for thing in truth)
    return any(names[i - 1] in target_names() for i in np.unique(truth) if 0 < i <= len(names))


def _found(predicted: Any, truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
    instances = predicted.pred_instances
    names = concept_names()
    found = []
    for box, score, label in zip(
        instances.bboxes.cpu().numpy(),
        instances.scores.cpu().numpy(),
        instances.labels.cpu().numpy(),
        strict=True,
    ):
        if score >= SCORE_THRESHOLD:
            name = names[int(label)]
            right = any(t["name"] == name and _iou(t["box"], box) >= 0.5 for t in truth)
            entry = {"box": [float(v) for v in box], "name": name, "score": float(score)}
            found.append({**entry, "right": right})
    return found


def _iou(first: Any, second: Any) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    common = max(wide, 0.0) * max(high, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(common / (sum(areas) - common)) if common > 0 else 0.0


def _write(labels: np.ndarray, path: Path) -> str:
    Image.fromarray(labels.astype(np.uint8)).save(path)
    return path.name
