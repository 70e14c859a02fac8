"""Result files: reading, checking and flattening ``results.json`` and its like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ARMS = ("before", "after", "plain", "control")
METRICS = {
    "zero_shot.target": "Zero-shot accuracy, target family",
    "zero_shot.other": "Zero-shot accuracy, other families",
    "gt_box.target": "GT-box accuracy, target family",
    "gt_box.other": "GT-box accuracy, other families",
    "miou.target": "mIoU, target family",
    "miou.other": "mIoU, other families",
    "ap50.novel": "AP50, novel (target family)",
    "ap50.base": "AP50, base (other families)",
}


def read_results(path: str | Path) -> dict[str, Any]:
    """Reads one JSON result file.

    Args:
        path: The file; its top level must be an object.

    Returns:
        The object.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When the file is not JSON or its top level is not an object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no result file at {path}: run the command that writes it first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected an object")
    return content


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested objects into dotted keys; lists stay values.

    >>> flatten({"zero_shot": {"target": 0.5}, "pairs": 3})
    {'zero_shot.target': 0.5, 'pairs': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Turns dotted keys into nested objects, the inverse of :func:`flatten`.

    Raises:
        ValueError: When one key is both a value and a group.
    """
    content: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        place = content
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ValueError(f"key {key!r}: {group!r} is already a value")
        if last in place:
            raise ValueError(f"key {key!r} is given twice")
        place[last] = value
    return content


def check_demo_results(content: dict[str, Any]) -> None:
    """Checks that a demo's result has every arm and metric, each a fraction.

    Args:
        content: What ``results.json`` holds.

    Raises:
        ValueError: Naming the arm and the metric that is missing or outside 0 to 1.
    """
    for arm in ARMS:
        if arm not in content:
            raise ValueError(f"results lack {arm!r}; expected {', '.join(ARMS)}")
        flat = flatten(content[arm])
        for metric in METRICS:
            value = flat.get(metric)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ValueError(f"results: {arm}.{metric} is {value!r}, expected a fraction")
    for key in ("gate_curve", "seconds", "retrieved", "trainable_parameters"):
        if key not in content:
            raise ValueError(f"results lack {key!r}")
