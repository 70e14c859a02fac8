"""What a training step costs: every customization method against two-tower full fine-tuning.

Each candidate trains in a process of its own and takes turns with the reference, step by step, so
that a busy neighbour slows both alike; ratios are taken per turn. The weights are random: speed and
memory do not depend on them.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from react_mm.benchmarks.timing import Row, row
from react_mm.benchmarks.training_candidates import (
    CANDIDATES,
    REFERENCE,
    available,
    write_pictures,
)
from react_mm.benchmarks.training_worker import TrainingProcess

PARTS = ("data", "forward", "backward", "optimizer")
COMPUTED = PARTS[1:]  # data is prepared by worker processes beside the steps


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """One table.

    Attributes:
        arch: open_clip's name or a JSON file.
        batch: Pairs per step.
        turns: Timed steps of each candidate and of the reference beside it.
        memory_gib: For how much memory the largest batch is told.
        device: ``cpu`` or ``cuda``.
        names: Candidates; None: all that are built.
    """

    arch: str
    batch: int
    turns: int
    memory_gib: float
    device: str = "cpu"
    names: Sequence[str] | None = None


@dataclasses.dataclass
class Measured:
    """What one candidate cost.

    Attributes:
        steps: Seconds of the parts of each timed step.
        beside: The same of the reference in the same turns.
        peaks: Bytes at the peak, by batch.
        facts: Parameters and bytes, see ``PlainTraining.facts``.
    """

    steps: list[dict[str, float]]
    beside: list[dict[str, float]]
    peaks: dict[int, int]
    facts: dict[str, int]

    def seconds(self) -> float:
        """Median seconds of a step without its data."""
        return statistics.median(_computed(step) for step in self.steps)

    def speed_ratio(self) -> float:
        """Median over turns of the reference's seconds divided by the candidate's."""
        pairs = zip(self.steps, self.beside, strict=True)
        return statistics.median(_computed(other) / _computed(own) for own, other in pairs)

    def largest_batch(self, memory: float) -> int:
        """Pairs that fit ``memory`` bytes, by a line through the peaks; 0 if not even one does."""
        (small, low), (large, high) = sorted(self.peaks.items())
        slope = (high - low) / (large - small)
        if slope <= 0:
            return large if high <= memory else 0
        return max(0, math.floor((memory - low) / slope + small))


def run(quick: bool) -> list[Row]:
    """Measures every candidate.

    Args:
        quick: ViT-B-32 with a batch of 4 and two turns instead of 32 and five.

    Returns:
        Rows of :func:`rows_of` for ViT-B-32 on a CPU; on a GPU for ViT-B-16 and ViT-L-14 in
        bfloat16.
    """
    if torch.cuda.is_available():
        tables = [
            BenchmarkSettings(arch, 16 if quick else 128, 3 if quick else 11, 70.0, "cuda")
            for arch in ("ViT-B-16", "ViT-L-14")
        ]
    else:
        tables = [BenchmarkSettings("ViT-B-32", 4 if quick else 32, 2 if quick else 5, 16.0)]
    rows: list[Row] = []
    for settings in tables:
        rows += rows_of(measure(settings, print), settings)
    return rows


def measure(
    settings: BenchmarkSettings, say: Callable[[str], Any] = lambda text: None
) -> dict[str, Measured]:
    """Runs the candidates one after another, each in turns with the reference.

    Args:
        settings: What to measure.
        say: Told what is going on.

    Returns:
        Results by name, the reference first.
    """
    names = list(settings.names or available())
    for name in CANDIDATES:
        if settings.names is None and name not in names:
            say(f"{name}: not built, left out")
    names = [REFERENCE, *(name for name in names if name != REFERENCE)]
    with tempfile.TemporaryDirectory() as folder:
        captions = write_pictures(Path(folder), settings.batch)
        arguments = (settings.arch, Path(folder), captions, settings.device)
        with TrainingProcess(REFERENCE, *arguments) as reference:
            measured = {}
            for name in names:
                say(f"{settings.arch}, batch {settings.batch}: {name}")
                if name == REFERENCE:
                    measured[name] = _measure(reference, None, settings)
                    continue
                with TrainingProcess(name, *arguments) as process:
                    measured[name] = _measure(process, reference, settings)
    return measured


def _measure(
    process: TrainingProcess, reference: TrainingProcess | None, settings: BenchmarkSettings
) -> Measured:
    """Peaks of two batch sizes (the steps also warm up), then turns."""
    half = max(1, settings.batch // 2)
    peaks = {b: process.ask("peak", batch=b) for b in sorted({half, settings.batch})}
    if len(peaks) == 1:
        raise ValueError("the benchmark needs a batch of 2 or more: memory is told for two batches")
    steps, beside = [], []
    for _ in range(settings.turns):
        if reference is not None:
            beside.append(reference.ask("step", batch=settings.batch))
        steps.append(process.ask("step", batch=settings.batch))
    return Measured(steps, beside or steps, peaks, process.ask("facts"))


def rows_of(measured: dict[str, Measured], settings: BenchmarkSettings) -> list[Row]:
    """Rows ``customization.*``, one per quantity and candidate (``settings.method``)."""
    common = {
        "arch": settings.arch,
        "batch": settings.batch,
        "turns": settings.turns,
        "dtype": "bfloat16" if settings.device == "cuda" else "float32",
    }
    full, rows = measured[REFERENCE], []
    for name, result in measured.items():
        told = {"method": name, **CANDIDATES[name].settings(), **common}
        peak = result.peaks[settings.batch]
        largest = result.largest_batch(settings.memory_gib * 2**30)
        quantities: list[tuple[str, float, str, dict[str, Any]]] = [
            ("speed_ratio_to_full", result.speed_ratio(), "times the images/s", {}),
            ("memory_ratio_to_full", peak / full.peaks[settings.batch], "times the peak", {}),
            ("images_per_second", settings.batch / result.seconds(), "images/s", {}),
            ("peak_memory", peak / 2**20, "MiB", {}),
            ("largest_batch", largest, "pairs", {"memory_gib": settings.memory_gib}),
            ("trainable_parameters", result.facts["trainable_parameters"], "parameters", {}),
            ("optimizer_bytes", result.facts["optimizer_bytes"], "bytes", {}),
            ("checkpoint_bytes", result.facts["checkpoint_bytes"], "bytes", {}),
        ]
        for part in PARTS:
            seconds = statistics.median(step[part] for step in result.steps)
            quantities.append((f"step_{part}", seconds, "s", {}))
        rows += [
            row(f"customization.{quantity}", value, unit, **told, **more)
            for quantity, value, unit, more in quantities
        ]
    return rows


def _computed(step: dict[str, float]) -> float:
    return sum(step[part] for part in COMPUTED)
