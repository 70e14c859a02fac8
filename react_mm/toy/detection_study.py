"""The chain over several seeds of the drawn world: the tables of docs/detection.md.

Each seed draws its own pool, scenes and evaluation images, retrieves, trains and measures anew; the
base is the shipped one in all of them. Choices (gate scales, score weights) are the chain's, from
the validation split of each seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from react_mm.engine.running import configs_folder
from react_mm.manifest import read_json
from react_mm.toy.seeds import interval

CHAIN = Path("work_dirs/chain/toy")
ARMS = {"base": "plain (base CLIP)", "customized": "customized", "dense": "customized + dense"}
METRICS = {
    "GT-box, target": ("gt_box", "gt_box/accuracy_target"),
    "GT-box, other": ("gt_box", "gt_box/accuracy_other"),
    "AP50 novel": ("detection", "ov_coco/novel_ap50"),
    "AP50 base": ("detection", "ov_coco/base_ap50"),
    "AP50 all": ("detection", "ov_coco/bbox_mAP_50"),
    "AP50 novel, synonyms": ("synonyms", "ov_coco/novel_ap50"),
}
PAIRS = (("customized", "base"), ("dense", "base"), ("dense", "customized"))
Values = dict[str, dict[str, float]]


def run_seed(folder: Path, seed: int, options: Sequence[str] = ()) -> Values:
    """Runs the chain in a folder of its own; finished stages are reused.

    Args:
        folder: Where the world and the work directory of this seed go.
        seed: Of the world and of training.
        options: Further ``KEY=VALUE`` for ``tools/chain.py --cfg-options``.

    Returns:
        ``{arm: {metric: value}}`` with the names of :data:`METRICS`, as fractions.

    Raises:
        subprocess.CalledProcessError: If the chain fails; its output has been shown.
        KeyError: If the chain did not give one of the metrics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configs = configs_folder()
    tool, config = configs.parent / "tools" / "chain.py", configs / "chain" / "toy.py"
    command = [sys.executable, str(tool), str(config), "--work-dir", str(CHAIN)]
    command += ["--cfg-options", f"seed={seed}", *options]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ})
    return values_of(read_json(folder / CHAIN / "results.json")["arms"])


def values_of(arms: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> Values:
    """The study's metrics out of a chain's results.

    Raises:
        KeyError: Naming the arm, the test and the metric that is missing.
    """
    found: Values = {}
    for arm in ARMS:
        found[arm] = {}
        for name, (test, metric) in METRICS.items():
            value = arms.get(arm, {}).get(test, {}).get(metric)
            if value is None:
                raise KeyError(f"the chain's results have no {metric} of {test} for the arm {arm}")
            found[arm][name] = float(value)
    return found


def summarise(per_seed: Mapping[str, Values]) -> list[dict[str, Any]]:
    """Mean, standard deviation and 95 % interval over seeds, arms first, then paired differences.

    Args:
        per_seed: What :func:`run_seed` returned, by seed.

    Returns:
        Rows ``{row, metric, mean, sd, half, values, seeds}``; ``half`` is half the width of
        Student's interval over seeds; it and ``sd`` are None with a single seed.
    """
    rows = []
    for arm, label in ARMS.items():
        for metric in METRICS:
            rows.append(_row(label, metric, [v[arm][metric] for v in per_seed.values()], per_seed))
    for own, other in PAIRS:
        label = f"{ARMS[own]} - {ARMS[other]} (paired)"
        for metric in METRICS:
            change = [v[own][metric] - v[other][metric] for v in per_seed.values()]
            rows.append(_row(label, metric, change, per_seed))
    return rows


def _row(label: str, metric: str, values: list[float], seeds: Mapping[str, Any]) -> dict[str, Any]:
    mean, half = interval(values)
    several = len(values) > 1
    return {
        "row": label,
        "metric": metric,
        "mean": mean,
        "sd": float(np.std(values, ddof=1)) if several else None,
        "half": half if several else None,
        "values": values,
        "seeds": list(seeds),
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Arms and differences in rows, metrics in columns: mean ± 95 % interval (sd), per cent."""
    by_row: dict[str, dict[str, str]] = {}
    for row in rows:
        cell = f"{100 * row['mean']:.1f}"
        if row["half"] is not None:
            cell += f" ± {100 * row['half']:.1f} ({100 * row['sd']:.1f})"
        by_row.setdefault(row["row"], {})[row["metric"]] = cell
    lines = ["| | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    for name, cells in by_row.items():
        lines.append(f"| {name} | " + " | ".join(cells[m] for m in METRICS) + " |")
    seeds = ", ".join(map(str, rows[0]["seeds"]))
    lines += ["", f"Seeds {seeds}; per cent, mean ± 95 % interval (sd) over seeds."]
    return "\n".join(lines) + "\n"
