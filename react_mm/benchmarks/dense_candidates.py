"""What the dense benchmark compares: a plain tower, ours, and the detector built on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from react_mm.engine.configuration import load_config
from react_mm.engine.running import configs_folder
from react_mm.models.open_clip_loading import resolve_architecture
from react_mm.prompts import Vocabulary

BOXES = 7
"""Boxes per training image, COCO's mean."""


class RandomEmbeddings:
    """Class embeddings without a text tower: random directions, one per name.

    Args:
        embed_dim: Dimension D.
    """

    def __init__(self, embed_dim: int) -> None:
        self.embed_dim = embed_dim

    def __call__(self, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
        """Unit rows float (C, D) and their classes, as ``ClassEmbedder`` gives them."""
        generator = torch.Generator().manual_seed(len(vocabulary))
        rows = torch.randn(len(vocabulary), self.embed_dim, generator=generator)
        return F.normalize(rows, dim=-1), torch.arange(len(vocabulary))


def reference_tower(arch: str, size: int, device: str = "cpu") -> nn.Module:
    """open_clip's own image tower, random weights, built for an image size.

    open_clip refuses other sizes than that a tower was built for; the positions are then as many as
    the cells, and none is interpolated while it runs.

    Args:
        arch: Architecture.
        size: Height and width, a multiple of the patch size.
        device: Where it runs.
    """
    name = resolve_architecture(arch)
    return open_clip.create_model(name, force_image_size=size).visual.to(device).eval()


class DenseCandidates:
    """A detector with random weights, and its tower.

    Args:
        config: Detection config, below ``configs/`` or a path.
        device: ``cpu`` or ``cuda``.
        options: Further options of the config.
    """

    def __init__(
        self, config: str, device: str = "cpu", options: Mapping[str, Any] | None = None
    ) -> None:
        options = {"model.backbone.pretrained": None, **(options or {})}
        read = load_config(configs_folder() / config, options)
        init_default_scope(read.get("default_scope", "mmdet"))
        torch.manual_seed(0)
        self.device, self.arch = device, read.model.backbone.arch
        model = MODELS.build(read.model)
        logging.disable(logging.INFO)  # mmengine tells of every parameter
        try:
            model.init_weights()
        finally:
            logging.disable(logging.NOTSET)
        model.class_embedder = RandomEmbeddings(model.backbone.embed_dim)
        self.model = model.to(device).eval()
        self.detections: dict[tuple[int, int], float] = {}
        self._optimizer: torch.optim.Optimizer | None = None

    def images(self, size: int, batch: int) -> Tensor:
        """Random normalised images, float (batch, 3, size, size)."""
        generator = torch.Generator().manual_seed(size)
        return torch.randn(batch, 3, size, size, generator=generator).to(self.device)

    @torch.no_grad()
    def pooled(self, images: Tensor) -> Tensor:
        """Our pooled embedding (B, D)."""
        return self.model.backbone.encode_image(images)

    @torch.no_grad()
    def taps(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps that a neck takes."""
        return self.model.backbone(images)

    @torch.no_grad()
    def dense(self, images: Tensor, mode: str) -> Tensor:
        """Dense embedding (B, D, h, w) of a mode."""
        tower = self.model.backbone
        before, tower.dense_mode = tower.dense_mode, mode
        try:
            return tower.dense_embedding(images)
        finally:
            tower.dense_mode = before

    @torch.no_grad()
    def taps_and_dense(self, images: Tensor) -> Any:
        """What the detector asks of its backbone at test time."""
        return self.model.backbone.taps_and_dense(images)

    @torch.no_grad()
    def detect(self, images: Tensor, classes: int) -> list[DetDataSample]:
        """Detects with a vocabulary of ``classes`` names."""
        self._set_classes(classes)
        samples = self.samples(images)
        found = self.model.predict(images, samples)
        counts = [len(sample.pred_instances) for sample in found]
        self.detections[int(images.shape[-1]), classes] = sum(counts) / len(counts)
        return found

    def part_seconds(
        self, images: Tensor, classes: int, parts: Sequence[str], turns: int
    ) -> dict[str, list[float]]:
        """Seconds of the detector's parts in each of some detections.

        Args:
            images: As for :meth:`detect`.
            classes: Number of classes.
            parts: Attributes of the detector: ``neck`` is timed in ``forward``, heads in
                ``predict``.
            turns: How often.
        """
        seconds: dict[str, list[float]] = {part: [] for part in parts}
        stamps = []
        for part in parts:
            module = getattr(self.model, part)
            method = "predict" if hasattr(module, "predict") else "forward"
            stamps.append((module, method, getattr(module, method)))
            setattr(module, method, self._timed(getattr(module, method), seconds[part]))
        try:
            for _ in range(turns):
                self.detect(images, classes)
        finally:
            for module, method, _ in stamps:
                delattr(module, method)  # the class's own shows through again
        return seconds

    def _timed(self, function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
        def _call(*args: Any, **kwargs: Any) -> Any:
            self._wait()
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self._wait()
            seconds.append(time.perf_counter() - start)
            return result

        return _call

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def training_step(self, images: Tensor, classes: int = 48) -> Callable[[], float]:
        """A step of training on the base classes, as a function to be timed.

        Args:
            images: As for :meth:`detect`.
            classes: Number of base classes.
        """
        self._set_classes(classes)
        self.model.train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5)
        samples = self.samples(images, classes)

        def _step() -> float:
            loss = self.model.parse_losses(self.model.loss(images, samples))[0]
            with self._full_precision():
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            return float(loss.detach())

        return _step

    def _full_precision(self) -> AbstractContextManager:
        return torch.autocast("cuda", enabled=False) if self.device == "cuda" else nullcontext()

    def evaluate(self) -> None:
        """Back to evaluation after training steps."""
        self.model.eval()

    def _set_classes(self, number: int) -> None:
        if self.model.num_vocabulary == number:
            return
        names = [f"class {i}" for i in range(number)]
        self.model.set_base_classes(names[: number * 3 // 4])
        self.model.set_vocabulary(names)

    def samples(self, images: Tensor, classes: int = 0) -> list[DetDataSample]:
        """Samples of square images; with :data:`BOXES` boxes each where ``classes`` is given."""
        size, generator = int(images.shape[-1]), torch.Generator().manual_seed(0)
        meta = dict(ori_shape=(size, size), img_shape=(size, size), pad_shape=(size, size))
        meta |= dict(batch_input_shape=(size, size), scale_factor=(1.0, 1.0))
        found = []
        for number in range(len(images)):
            sample = DetDataSample(metainfo={**meta, "img_id": number, "img_path": f"{number}"})
            if classes:
                corner = torch.rand(BOXES, 2, generator=generator) * size * 0.6
                extent = size * (0.1 + 0.3 * torch.rand(BOXES, 2, generator=generator))
                labels = torch.randint(classes, (BOXES,), generator=generator)
                boxes = torch.cat([corner, corner + extent], dim=1)
                sample.gt_instances = InstanceData(bboxes=boxes, labels=labels).to(self.device)
            found.append(sample)
        return found
