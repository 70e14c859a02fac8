"""Fine-tuning as open_clip itself offers it: both towers, no caches, a plain loop.

The yardstick of the benchmark: it imports nothing of react_mm.
"""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor, nn


def load_plain_model(arch: str) -> tuple[nn.Module, Any]:
    """An open_clip model with random weights and its tokenizer.

    Args:
        arch: open_clip's name, or a JSON file with an architecture.
    """
    if arch.endswith(".json"):
        open_clip.add_model_config(Path(arch))
        arch = Path(arch).stem
    return open_clip.create_model(arch), open_clip.get_tokenizer(arch)


class PlainTraining:
    """One training step at a time, its four parts timed.

    Args:
        arch: See :func:`load_plain_model`.
        images: Folder of JPEG files.
        captions: One text per file, in the order of their names.
        device: ``cpu`` or ``cuda``; there the forward pass runs under bfloat16 autocast.
        learning_rate: Of AdamW, with REACT's other settings.
    """

    def __init__(
        self,
        arch: str,
        images: str,
        captions: list[str],
        device: str,
        learning_rate: float = 1e-5,
    ) -> None:
        self.device, self.captions = device, captions
        self.files = sorted(Path(images).glob("*.jpg"))
        self.model, self.tokenizer = load_plain_model(arch)
        self.model.to(device).train()
        self.loss = open_clip.ClipLoss()
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), eps=1e-6)
        visual = self.model.visual
        self.transform = create_transform(
            visual.image_size,
            is_training=True,
            color_jitter=0.4,
            auto_augment="rand-m9-inc1",  # without mstd: its extremes trip over Pillow 13
            interpolation="bicubic",
            re_prob=0.25,
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
        )

    def data(self, batch: int) -> tuple[Tensor, Tensor]:
        """Decodes, augments and tokenizes the first ``batch`` pairs."""
        images = [self.transform(Image.open(f).convert("RGB")) for f in self.files[:batch]]
        return torch.stack(images), self.tokenizer(self.captions[:batch])

    def step(self, batch: int) -> dict[str, float]:
        """One step.

        Args:
            batch: Pairs.

        Returns:
            Seconds of ``data``, ``forward``, ``backward``, ``optimizer``.
        """
        marks = [seconds_now(self.device)]
        images, texts = self.data(batch)
        marks.append(seconds_now(self.device))
        images, texts = images.to(self.device), texts.to(self.device)
        cuda = self.device == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
            loss = self.loss(*self.model(images, texts))
        marks.append(seconds_now(self.device))
        loss.backward()
        marks.append(seconds_now(self.device))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, 4.6052)
        marks.append(seconds_now(self.device))
        names = ("data", "forward", "backward", "optimizer")
        return {n: b - a for n, a, b in zip(names, marks, marks[1:], strict=False)}

    def facts(self) -> dict[str, int]:
        """``trainable_parameters``, ``optimizer_bytes`` and ``checkpoint_bytes``."""
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        state = self.model.state_dict().values()
        return {
            "trainable_parameters": trained,
            "optimizer_bytes": optimizer_bytes(self.optimizer),
            "checkpoint_bytes": sum(t.numel() * t.element_size() for t in state),
        }


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of the optimiser's tensors (after a step has made them)."""
    values = (v for state in optimizer.state.values() for v in state.values())
    return sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor))


def seconds_now(device: str) -> float:
    """A clock that waits for what the device is still doing."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
