"""What a dense embedding costs beside open_clip's own forward pass, random weights."""

from __future__ import annotations

import torch

from react_mm.benchmarks.timing import Row, row, take_turns
from react_mm.models.backbones.clip_vit import CLIPViT
from react_mm.models.layers.dense_attention import DENSE_MODES
from react_mm.models.open_clip_loading import load_open_clip


def run(quick: bool) -> list[Row]:
    """Times ``dense_embedding`` in each mode, and the pooled embedding, against open_clip.

    Args:
        quick: ViT-B-32 with few turns instead of ViT-B-16 with many.

    Returns:
        Images per second of open_clip's forward, and the ratio of each of ours to it.
    """
    arch, batch, turns = ("ViT-B-32", 4, 5) if quick else ("ViT-B-16", 8, 11)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    reference = load_open_clip(arch).visual.to(device).eval()
    tower = CLIPViT(arch).to(device).eval()
    size = tower.preprocess["size"]
    images = torch.randn(batch, 3, *size, device=device)

    def _dense(mode: str) -> object:
        tower.dense_mode = mode
        return tower.dense_embedding(images)

    candidates = {
        "open_clip": lambda: reference(images),
        "pooled": lambda: tower.encode_image(images),
    }
    for mode in DENSE_MODES:
        candidates[f"dense {mode}"] = lambda mode=mode: _dense(mode)
    with torch.no_grad():
        timings = take_turns(candidates, turns)
    settings = {"arch": arch, "batch": batch, "size": list(size), "turns": turns}
    speed = batch / timings.median("open_clip")
    rows = [row("dense/open_clip forward", speed, "images/s", **settings)]
    for name in candidates:
        if name != "open_clip":
            ratio = timings.ratio(name, "open_clip")
            rows.append(row(f"dense/{name}", ratio, "times open_clip's forward", **settings))
    return rows
