"""The demo over several seeds, with a linear head beside it: the table of docs/toy_world.md.

Each seed draws its own pool and evaluation images, retrieves, trains and measures anew; the base is
the shipped one in all of them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

from react_mm.apis.encoder import Encoder, build_encoder
from react_mm.datasets.pairs import PairDataset
from react_mm.datasets.zero_shot import ZeroShotDataset
from react_mm.engine import running
from react_mm.engine.running import configs_folder
from react_mm.evaluation.gate_scale import ALLOWED_DROP
from react_mm.evaluation.linear_head import fit_linear_head
from react_mm.manifest import read_json, sha256_file, write_json
from react_mm.toy.demo.tasks import ARMS, TASKS, with_delta

DEMO = Path("work_dirs/demo")
HEAD_EPOCHS = (5, 20, 60)
HEADS = {"linear head": 0.0, "linear head, teacher": 5.0}
METRICS = ("zero_shot", "synonyms", "gt_box", "miou", "ap50")
"""``synonyms``: zero-shot accuracy when each class may take the best of its words."""


def run_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Runs the demo in a folder of its own, then fits the linear heads.

    Args:
        folder: Where the world and the work directory of this seed go. Finished stages are reused.
        seed: Seed of the world, of sampling and of training.

    Returns:
        ``results.json`` of the demo with an entry more per linear head, and ``synonyms`` for the
        demo's arms.

    Raises:
        subprocess.CalledProcessError: If the demo fails; its output has been shown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    demo = configs_folder().parent / "tools" / "demo.py"
    command = [sys.executable, str(demo), "--seed", str(seed), "--work-dir", str(DEMO)]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ})
    results = read_json(folder / DEMO / "results.json")
    cache, key = folder / "linear_head.json", sha256_file(folder / DEMO / "results.json")
    if not cache.is_file() or read_json(cache)["of"] != key:
        write_json(cache, {"of": key, **linear_heads(folder, seed)})
    words = folder / "synonyms.json"
    if not words.is_file() or read_json(words)["of"] != key:
        write_json(words, {"of": key, **synonym_accuracy(folder, results["settings"])})
    heads, found = read_json(cache), read_json(words)
    for arm in ARMS:
        results[arm]["synonyms"] = found[arm]
    return {**results, **{name: heads[name] for name in HEADS}}


def synonym_accuracy(folder: Path, settings: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The zero-shot task of each arm once more, every class by the best of its words.

    Args:
        folder: Folder of a seed whose demo has ended.
        settings: Of its ``results.json``.
    """
    task, found = TASKS["zero-shot"], {}
    scales = {"after": settings["gate_scale"], "control": settings["gate_scale"], "plain": 1.0}
    with contextlib.chdir(folder):  # the config's paths are relative
        for arm in ARMS:
            delta = None if arm == "before" else DEMO / f"customize-{arm}/customized.safetensors"
            options = with_delta(task, delta, scales.get(arm))
            options["test_dataloader.dataset.synonyms"] = True
            config, work_dir = configs_folder() / task.config, DEMO / "synonyms" / arm
            metrics, _ = running.test(config, work_dir, options, f"synonyms {arm}")
            target, other = task.read(metrics).values()
            found[arm] = {"target": target, "other": other}
    return found


def linear_heads(folder: Path, seed: int) -> dict[str, Any]:
    """Zero-shot accuracy of linear maps on the base's embeddings, trained on the retrieved pairs.

    The epochs are those of the largest target accuracy on the validation images, among those that
    keep the other families within the demo's allowed drop; if none does, those that keep most.
    """
    from mmengine.config import Config

    config = Config.fromfile(str(configs_folder() / "retrieval" / "toy.py"))
    encoder = build_encoder({**config.encoder, "templates": "drawn"})
    scale = float(encoder.model.logit_scale)
    retrieved = folder / DEMO / "retrieval"
    image, captions = _pairs(encoder, retrieved / "retrieved", seed)
    text = torch.from_numpy(encoder.encode_texts(captions))
    general, _ = _pairs(encoder, retrieved / "samples" / "general", seed)
    splits = {name: _Labelled(encoder, folder, name) for name in ("val", "test")}
    base = splits["val"].accuracy(None)
    measured = {}
    for name, weight in HEADS.items():
        rows = []
        for epochs in HEAD_EPOCHS:
            options = {"epochs": epochs, "logit_scale": scale, "seed": seed}
            head = fit_linear_head(image, text, general, weight, **options)
            rows.append({"epochs": epochs, "head": head, **splits["val"].accuracy(head)})
        kept = [row for row in rows if row["other"] >= base["other"] - ALLOWED_DROP]
        best = max(kept, key=lambda row: row["target"]) if kept else None
        best = best or max(rows, key=lambda row: row["other"])
        accuracy = splits["test"].accuracy(best["head"])
        measured[name] = {"zero_shot": accuracy, "epochs": best["epochs"]}
    return measured


def _pairs(encoder: Encoder, folder: Path, seed: int) -> tuple[torch.Tensor, list[str]]:
    dataset = PairDataset([{"path": str(folder)}], [_resize(encoder)], seed)
    items = [dataset[i] for i in range(len(dataset))]
    return _embed(encoder, [item["inputs"] for item in items]), [i["caption"] for i in items]


def _resize(encoder: Encoder) -> dict[str, Any]:
    height, _ = encoder.model.image_tower.preprocess["size"]
    return {"type": "react_mm.ResizeCenterCrop", "size": height}


def _embed(encoder: Encoder, images: Sequence[torch.Tensor], batch: int = 256) -> torch.Tensor:
    chunks = [images[i : i + batch] for i in range(0, len(images), batch)]
    found = [encoder.encode_images(torch.stack(chunk).numpy()) for chunk in chunks]
    return torch.from_numpy(np.concatenate(found))


class _Labelled:
    """The labelled images of a split, embedded once, and the zero-shot classifier."""

    def __init__(self, encoder: Encoder, folder: Path, split: str) -> None:
        root = folder / "data" / "toy"
        data = ZeroShotDataset(
            str(root / "classification" / split),
            classes=str(root / "concepts.txt"),
            groups={"target": str(root / "target.txt"), "other": "rest"},
            synonyms=False,
            pipeline=[_resize(encoder)],
        )
        self.image = _embed(encoder, [data[i]["inputs"] for i in range(len(data))])
        self.labels = torch.tensor(data.labels)
        names = data.metainfo["classes"]
        self.groups = {
            group: torch.tensor([name in members for name in names])[self.labels]
            for group, members in data.metainfo["groups"].items()
        }
        encoder.model.set_vocabulary(data.vocabulary)
        self.encoder = encoder

    def accuracy(self, head: torch.nn.Module | None) -> dict[str, float]:
        """Top-1 accuracy of each group, all classes as candidates."""
        with torch.no_grad():
            mapped = self.image if head is None else head(F.normalize(self.image, dim=-1))
            right = self.encoder.model.class_similarity(mapped).argmax(1) == self.labels
        return {group: right[rows].float().mean().item() for group, rows in self.groups.items()}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % confidence interval (Student's t over seeds)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * error


def flatten(results: Mapping[str, Any]) -> dict[str, float]:
    """``zero_shot.target`` and so on of one arm."""
    return {
        f"{metric}.{group}": value
        for metric in METRICS
        for group, value in results.get(metric, {}).items()
    }


def table(per_seed: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: arms in rows, metrics in columns, mean and 95 % interval in percent.

    Args:
        per_seed: What :func:`run_seed` returned for each seed.
    """
    arms = [*ARMS, *HEADS]
    columns = list(flatten(per_seed[0]["before"]))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows = {arm: [flatten(results[arm]) for results in per_seed] for arm in arms}
    for other in ("before", "control"):
        pairs = zip(rows["after"], rows[other], strict=True)
        rows[f"after - {other} (paired)"] = [{k: a[k] - b[k] for k in b} for a, b in pairs]
    for name, found in rows.items():
        cells = []
        for column in columns:
            if column not in found[0]:
                cells.append("-")
                continue
            mean, half = interval([row[column] for row in found])
            cells.append(f"{100 * mean:.1f} ± {100 * half:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
