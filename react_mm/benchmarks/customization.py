"""What a training step costs: gated-image with cached captions against the full model."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from react_mm.benchmarks.timing import Row, row, take_turns
from react_mm.models.clip import CLIP

METHODS = ("full", "locked-text", "gated-image")


def run(quick: bool) -> list[Row]:
    """Times one training step (forward, backward, AdamW) of each method on random weights.

    Args:
        quick: A batch of 4 and few turns instead of a batch of 32.

    Returns:
        Seconds of each method's step, its ratio to the full model's, and its trainable parameters.
    """
    arch, batch, turns = ("ViT-B-32", 4, 3) if quick else ("ViT-B-32", 32, 5)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    models = {method: _model(arch, method, batch).to(device).train() for method in METHODS}
    timings = take_turns({name: _step(model, batch) for name, model in models.items()}, turns)
    settings = {"arch": arch, "batch": batch, "turns": turns}
    rows = []
    for name, model in models.items():
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        rows.append(row(f"customization/{name} step", timings.median(name), "s", **settings))
        ratio = timings.ratio(name, "full")
        rows.append(row(f"customization/{name}", ratio, "times the full step", **settings))
        rows.append(row(f"customization/{name} trainable", count, "parameters", arch=arch))
    return rows


def _model(arch: str, method: str, batch: int) -> CLIP:
    model = CLIP(
        image_tower=dict(type="react_mm.CLIPViT", arch=arch, frozen=False),
        text_tower=dict(type="react_mm.CLIPText", arch=arch),
        method=method,
    )
    if model.text_frozen:
        cache = torch.randn(batch, model.image_tower.embed_dim)
        model.set_text_cache(F.normalize(cache, dim=-1))
    return model


def _step(model: CLIP, batch: int) -> Callable[[], None]:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    size = model.image_tower.preprocess["size"]
    data = {
        "inputs": torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8),
        "caption": [f"a photo of thing {i}" for i in range(batch)],
        "caption_id": torch.arange(batch),
        "role": torch.zeros(batch, dtype=torch.int64),
        "key": [str(i) for i in range(batch)],
    }

    def _one_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        prepared = model.data_preprocessor(dict(data), True)
        losses = model(**prepared, mode="loss")
        sum(value for name, value in losses.items() if name.startswith("loss")).backward()
        optimizer.step()

    return _one_step
