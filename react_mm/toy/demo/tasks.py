"""The four tasks of the demo: their configs, where the tower sits in them, what they report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ARMS = ("before", "after", "plain", "control")
RECIPES = {
    "after": "customization/gated-image_toy-vit_toy_recommended.py",
    "plain": "customization/gated-image_toy-vit_toy_plain.py",
    "control": "customization/gated-image_toy-vit_toy_control.py",
}
RETRIEVAL = "retrieval/toy.py"
Options = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing that is measured.

    Attributes:
        config: Test config, below ``configs/``.
        tower: Key of the config's part that takes ``delta`` and ``gate_scale``.
        metrics: The demo's metric names and the runner's.
        on_val: Options that turn the test loop to the validation split.
    """

    config: str
    tower: str
    metrics: Mapping[str, str]
    on_val: Mapping[str, Any]

    def read(self, measured: Mapping[str, float]) -> dict[str, float]:
        """The demo's metrics out of what the runner reported.

        Raises:
            KeyError: When the runner did not report one of them; the message names what it did.
        """
        lacking = [key for key in self.metrics.values() if key not in measured]
        if lacking:
            raise KeyError(f"{self.config} reported no {lacking}, only {sorted(measured)}")
        return {name: measured[key] for name, key in self.metrics.items()}


SCENES = {
    "test_dataloader.dataset.ann_file": "scenes/annotations/instances_val.json",
    "test_dataloader.dataset.data_prefix.img": "scenes/val/",
}
TASKS = {
    "zero-shot": Task(
        config="zero_shot_classification/toy-vit_toy.py",
        tower="model",
        metrics={"zero_shot.target": "zero_shot/target", "zero_shot.other": "zero_shot/other"},
        on_val={"test_dataloader.dataset.path": "data/toy/classification/val"},
    ),
    "gt-box": Task(
        config="detection/gt-box_toy-vit_toy.py",
        tower="model.backbone",
        metrics={
            "gt_box.target": "gt_box/accuracy_target",
            "gt_box.other": "gt_box/accuracy_other",
        },
        on_val=SCENES,
    ),
    "segmentation": Task(
        config="segmentation/local_toy-vit_toy.py",
        tower="model.backbone",
        metrics={
            "miou.target": "segmentation/mIoU_target",
            "miou.other": "segmentation/mIoU_other",
        },
        on_val={
            "test_dataloader.dataset.data_prefix.img_path": "scenes/val",
            "test_dataloader.dataset.data_prefix.seg_map_path": "scenes/semantic/val",
        },
    ),
    "detection": Task(
        config="detection/fvlm_toy-vit_fpn_toy.py",
        tower="model.backbone",
        metrics={"ap50.base": "ov_coco/base_ap50", "ap50.novel": "ov_coco/novel_ap50"},
        on_val={
            **SCENES,
            "test_evaluator.ann_file": "data/toy/scenes/annotations/instances_val.json",
        },
    ),
}


def with_delta(task: Task, delta: Path | None, gate_scale: float | None) -> Options:
    """Options that put a customization on a task's tower; none for the base.

    Args:
        task: The task.
        delta: Stored customization, or None for the base.
        gate_scale: Gate scale at inference.
    """
    if delta is None:
        return {}
    return {f"{task.tower}.delta": str(delta), f"{task.tower}.gate_scale": gate_scale}
