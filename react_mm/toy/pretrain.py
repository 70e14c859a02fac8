"""Reproduces the toy CLIP: world, training, export, comparison with the shipped card.

python -m react_mm.toy.pretrain                 # everything, into work_dirs/pretrain_toy
python -m react_mm.toy.pretrain --publish       # and replace the weights in the package
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from react_mm.checkpoints import check_keys, content_hash, load_state, save_state
from react_mm.engine.resuming import find_newest_checkpoint
from react_mm.engine.safe_loading import safe_torch_load
from react_mm.manifest import read_json, sha256_file, write_json
from react_mm.models.open_clip_loading import load_open_clip
from react_mm.toy.knowledge import measure
from react_mm.toy.sampling import pair
from react_mm.toy.tokenizer import MERGES_FILE
from react_mm.toy.world import TARGET_FAMILY
from react_mm.toy.writer import drawing_digest, write_world

__all__ = ["WEIGHTS", "export_state", "main"]

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/toy/pretrain_toy-vit_drawn-world.py"
ARCHITECTURE = Path(__file__).with_name("toy-vit.json")
WEIGHTS = Path(__file__).with_name("clip_toy.safetensors")
"""The weights that ship with the package; the card of the same stem lies beside them."""

TOLERANCE = 0.02  # how far a reproduction may be from the card, in accuracy


def export_state(checkpoint: str | Path) -> dict[str, Tensor]:
    """Turn a checkpoint of the training into an open_clip state dict in float16.

    Args:
        checkpoint: ``iter_*.pth`` of ``react_mm.CLIP`` with method 'full'.

    Raises:
        ValueError: If its tensors are not those of 'toy-vit'.
    """
    state = safe_torch_load(checkpoint, map_location="cpu")["state_dict"]
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        for prefix in ("image_tower.", "text_tower.model."):
            if name.startswith(prefix):
                out[name.removeprefix(prefix)] = value.half()
    out["logit_scale"] = state["logit_scale"].half()
    check_keys(load_open_clip("toy-vit"), out, str(checkpoint))
    return out


def _train(data: Path, work_dir: Path, resume: bool) -> float:
    """Run the config with tools/train.py; returns the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "tools/train.py", CONFIG, "--work-dir", str(work_dir.resolve())]
    command += ["--cfg-options", f"pairs={data.resolve() / 'base'}"]
    subprocess.run(command + ["--resume"] * resume, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _first_pairs(seed: int, count: int = 100) -> str:
    """Hash of the first pretraining pairs: enough to see that the world has not changed."""
    digest = hashlib.sha256()
    for index in range(count):
        row = pair(seed, "base", index)
        digest.update(drawing_digest(row.drawing, row.caption))
    return digest.hexdigest()


def _card(weights: Path, world: dict, seconds: dict, accuracy: dict) -> dict:
    state = load_state(weights)
    return {
        "format": "react_mm.base.v1",
        "name": "toy-vit.drawn-world",
        "architecture": read_json(ARCHITECTURE),
        "weights_hash": content_hash(state),
        "parameters": sum(v.numel() for v in state.values()),
        "dtype": "float16",
        "tokenizer_sha256": sha256_file(MERGES_FILE),
        "world": {
            "seed": world["seed"],
            "parts": world["parts"],
            "first_pairs_sha256": _first_pairs(world["seed"]),
        },
        "target_family": TARGET_FAMILY,
        "config": CONFIG,
        "command": "python -m react_mm.toy.pretrain --publish",
        "seed": 0,
        "torch": torch.__version__,
        **seconds,
        **_rounded(accuracy),
        "licence": "Apache-2.0; trained on drawings that this package makes itself",
    }


def _rounded(found: dict) -> dict:
    return {k: _rounded(v) if isinstance(v, dict) else round(float(v), 4) for k, v in found.items()}


def _compare(accuracy: dict, card: dict) -> bool:
    """Print measured against published; True if 'other' is within the tolerance in both splits."""
    fine = True
    for split, values in accuracy["zero_shot"].items():
        for group in ("other", "target"):
            published = card["zero_shot"][split][group]
            print(f"{split} {group}: {values[group]:.3f}, card {published:.3f}")
            fine &= group != "other" or values[group] >= published - TOLERANCE
    return fine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the whole reproduction; returns 0 if it reaches the card's accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data/toy")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/pretrain_toy")
    parser.add_argument("--publish", action="store_true", help="replace the weights in the package")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted training")
    args = parser.parse_args(arguments)
    start = time.time()
    world = write_world(args.data, seed=0)
    cpu = _train(args.data, args.work_dir, args.resume)
    weights = args.work_dir / WEIGHTS.name
    save_state(weights, export_state(find_newest_checkpoint(args.work_dir)), {"format": "pt"})
    accuracy = measure(weights, args.data, ("val", "test"))
    seconds = {"training_cpu_minutes": round(cpu / 60, 1)}
    seconds["wall_minutes"] = round((time.time() - start) / 60, 1)
    card = _card(weights, world, seconds, accuracy)
    write_json(weights.with_suffix(".json"), card)
    if args.publish:
        save_state(WEIGHTS, load_state(weights), {"format": "pt"})
        write_json(WEIGHTS.with_suffix(".json"), card)
        print(json.dumps(card["zero_shot"], indent=2))
        return 0
    return 0 if _compare(accuracy, read_json(WEIGHTS.with_suffix(".json"))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
