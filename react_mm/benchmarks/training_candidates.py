"""What the benchmark of customization compares: five methods, their caches, and open_clip alone."""

from __future__ import annotations

import dataclasses
import tarfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import default_collate

from react_mm.benchmarks.plain_open_clip import PlainTraining, optimizer_bytes, seconds_now
from react_mm.datasets import CachedPairDataset, PairDataset
from react_mm.engine.optim_constructor import CustomizationOptimConstructor
from react_mm.models.clip import CLIP
from react_mm.models.customization import METHODS
from react_mm.models.prefix import prefix_encoder, prefix_identity

REFERENCE = "full"
PLAIN = "open_clip"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way of training.

    Attributes:
        method: Customization method; None: open_clip's own loop.
        captions: ``encoded`` in every step, or ``cached`` (frozen text towers).
        prefix: Whether the frozen blocks below the first gate are stored instead of computed; no
            augmentation then.
        options: Options of the method.
    """

    method: str | None
    captions: str = "encoded"
    prefix: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """For the settings of a row."""
        return {
            "captions": self.captions,
            "images": "stored prefix, float16" if self.prefix else "augmented",
            "method_options": dict(self.options),
        }


CANDIDATES = {
    REFERENCE: Candidate("full"),
    PLAIN: Candidate(None),
    "locked-image": Candidate("locked-image"),
    "locked-text": Candidate("locked-text"),
    "locked-text, cached captions": Candidate("locked-text", "cached"),
    "gated-image": Candidate("gated-image", "cached"),
    "gated-image, cached prefix": Candidate("gated-image", "cached", prefix=True),
    "lora": Candidate("lora", "cached"),
}


def available() -> list[str]:
    """Names of the candidates whose method is built, the reference first."""
    return [n for n, c in CANDIDATES.items() if c.method is None or c.method in METHODS]


def write_pictures(folder: Path, number: int, side: int = 320) -> list[str]:
    """Writes smooth random JPEG files, the same as a shard of pairs, and returns their captions."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    generator, captions = np.random.default_rng(0), []
    with tarfile.open(folder / "pairs.tar", "w") as tar:
        for i in range(number):
            small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            path = folder / "images" / f"k{i:05d}.jpg"
            picture = Image.fromarray(small).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)
            picture.save(path, quality=90)
            text = path.with_suffix(".txt")
            captions.append(f"a photo of thing number {i} on a table in the garden")
            text.write_text(captions[-1])
            tar.add(path, path.name)
            tar.add(text, text.name)
    return captions


class OurTraining:
    """A candidate of ours with the interface of :class:`PlainTraining`.

    Args:
        candidate: What to train.
        arch: open_clip's name or a JSON file; the weights are random.
        folder: Of :func:`write_pictures`.
        captions: As there.
        device: ``cpu`` or ``cuda``; there the forward pass runs under bfloat16 autocast.
    """

    def __init__(
        self, candidate: Candidate, arch: str, folder: str, captions: list[str], device: str
    ) -> None:
        self.device = device
        self.model = CLIP(
            image_tower=dict(type="react_mm.CLIPViT", arch=arch, frozen=False),
            text_tower=dict(type="react_mm.CLIPText", arch=arch),
            method=candidate.method or "none",
            method_options=dict(candidate.options),
        )
        self.model.to(device).train()
        size = self.model.image_tower.preprocess["size"][0]
        source = [dict(path=f"{folder}/pairs.tar")]
        if candidate.prefix:
            fixed = [dict(type="react_mm.ResizeCenterCrop", size=size)]
            store = f"{folder}/prefix"
            self.dataset: PairDataset = CachedPairDataset(store, sources=source, pipeline=fixed)
            encode, identity = prefix_encoder(self.model), prefix_identity(self.model)
            self.dataset.fill_prefix_cache(encode, identity, batch_size=4)
        else:
            pipeline = [dict(type="react_mm.TimmAugment", size=size, auto_augment="rand-m9-inc1")]
            self.dataset = PairDataset(source, pipeline)
        if candidate.captions == "cached":
            cache = torch.randn(len(captions), self.model.image_tower.embed_dim)
            self.model.set_text_cache(F.normalize(cache, dim=-1))
        optimizer = dict(type="AdamW", lr=1e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)
        wrapper = CustomizationOptimConstructor({"optimizer": optimizer})(self.model)
        self.optimizer = wrapper.optimizer
        self.epoch = 0

    def step(self, batch: int) -> dict[str, float]:
        """See :meth:`PlainTraining.step`."""
        marks = [seconds_now(self.device)]
        self.epoch += 1
        data = default_collate([self.dataset[(self.epoch, i)] for i in range(batch)])
        marks.append(seconds_now(self.device))
        cuda = self.device == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
            prepared = self.model.data_preprocessor(data, True)
            losses = self.model(**prepared, mode="loss")
        loss = self.model.parse_losses(losses)[0]
        marks.append(seconds_now(self.device))
        loss.backward()
        marks.append(seconds_now(self.device))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        marks.append(seconds_now(self.device))
        names = ("data", "forward", "backward", "optimizer")
        return {n: b - a for n, a, b in zip(names, marks, marks[1:], strict=False)}

    def facts(self) -> dict[str, int]:
        """See :meth:`PlainTraining.facts`; the checkpoint is the delta that is exported."""
        delta = self.model.delta_state().values()
        return {
            "trainable_parameters": sum(
                p.numel() for p in self.model.parameters() if p.requires_grad
            ),
            "optimizer_bytes": optimizer_bytes(self.optimizer),
            "checkpoint_bytes": sum(t.numel() * t.element_size() for t in delta),
        }


def build(
    name: str, arch: str, folder: str, captions: list[str], device: str
) -> OurTraining | PlainTraining:
    """Builds a candidate of :data:`CANDIDATES`."""
    candidate = CANDIDATES[name]
    if candidate.method is None:
        return PlainTraining(arch, f"{folder}/images", captions, device)
    return OurTraining(candidate, arch, folder, captions, device)
