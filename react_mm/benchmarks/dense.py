"""What maps cost: dense embeddings beside the plain forward, detectors beside their backbone.

Everything of one image size runs in one process, takes turns, and shares weights, images and
threads; ratios are taken per turn. The weights are random: speed and memory do not depend on them.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from react_mm.benchmarks.dense_candidates import DenseCandidates, reference_tower
from react_mm.benchmarks.timing import Row, Timings, row, take_turns
from react_mm.benchmarks.training_worker import highest, reset_peak, resident
from react_mm.models.layers.dense_attention import DENSE_MODES, LOCAL

CONFIG = "detection/fvlm_clip-vit-b16_fpn_1x_ov-coco.py"
PLAIN, BACKBONE = "plain", "taps and dense"
DENSE_GOAL, REST_GOAL = 1.10, 0.6
PARTS = ("neck", "rpn_head", "roi_head")


@dataclasses.dataclass(frozen=True)
class Table:
    """One image size.

    Attributes:
        size: Height and width of the images in pixels.
        batch: Images at once.
        turns: How often each candidate is timed.
        modes: Dense modes.
        classes: Numbers of classes of the detectors.
        train: Whether a training step of the detector is timed, too.
    """

    size: int
    batch: int
    turns: int
    modes: Sequence[str] = tuple(DENSE_MODES)
    classes: Sequence[int] = (80, 1203)
    train: bool = True


QUICK = (
    Table(224, 2, 3, ("vanilla", "maskclip", "naclip")),
    Table(800, 1, 2, ("maskclip",), (1203,), train=False),
)
FULL = (
    Table(224, 8, 7, (*DENSE_MODES, LOCAL)),
    Table(448, 2, 7, (*DENSE_MODES, LOCAL)),
    Table(800, 1, 5),
    Table(1024, 1, 3),
)
GPU_BATCH = {224: 64, 448: 16, 800: 8, 1024: 4}
Say = Callable[[str], Any]


def run(quick: bool) -> list[Row]:
    """Measures every size.

    Args:
        quick: Two sizes and few turns.

    Returns:
        Rows of :func:`rows_of`; ViT-B/16 in float32 on a CPU, under bfloat16 autocast on a GPU.
    """
    cuda = torch.cuda.is_available()
    tables = QUICK if quick else FULL
    if cuda:
        tables = tuple(
            dataclasses.replace(t, batch=GPU_BATCH[t.size], turns=11 if quick else 31)
            for t in tables
        )
    candidates = DenseCandidates(CONFIG, "cuda" if cuda else "cpu")
    rows: list[Row] = []
    for table in tables:
        rows += rows_of(*measure(candidates, table, print), table, candidates)
    return rows


def measure(
    candidates: DenseCandidates, table: Table, say: Say = lambda text: None
) -> tuple[Timings, dict[str, int], dict[str, list[float]]]:
    """Runs everything of one size.

    Args:
        candidates: Tower and detector.
        table: What to measure.
        say: Told what is going on.

    Returns:
        Seconds of each candidate in each turn; bytes at the peak of its first call, above what was
        held before; and seconds of the detector's parts (see :data:`PARTS`) for the most classes.
    """
    say(f"{table.size} px, batch {table.batch}: building")
    images = candidates.images(table.size, table.batch)
    functions = _functions(candidates, table, images)
    with autocast(candidates.device):
        peaks = {}
        for name, function in functions.items():
            say(f"{table.size} px: {name}")
            peaks[name] = peak_of(function, candidates.device)
        say(f"{table.size} px: {table.turns} turns")
        timings = take_turns(functions, table.turns, warmup=0)
        parts: dict[str, list[float]] = {}
        if table.classes:
            say(f"{table.size} px: the detector's parts")
            most = max(table.classes)
            parts = candidates.part_seconds(images, most, PARTS, max(2, table.turns // 2))
        if table.train:
            say(f"{table.size} px: training step")
            step = candidates.training_step(images)
            peaks["training step"] = peak_of(step, candidates.device)
            timings.seconds.update(take_turns({"training step": step}, table.turns, 0).seconds)
            candidates.evaluate()
    return timings, peaks, parts


def _functions(
    candidates: DenseCandidates, table: Table, images: torch.Tensor
) -> dict[str, Callable[[], Any]]:
    """What takes turns, by name; the reference first."""
    reference = reference_tower(candidates.arch, table.size, candidates.device)
    functions: dict[str, Callable[[], Any]] = {
        PLAIN: torch.no_grad()(lambda: reference(images)),
        "pooled": lambda: candidates.pooled(images),
        "taps": lambda: candidates.taps(images),
    }
    for mode in table.modes:
        functions[f"dense {mode}"] = lambda mode=mode: candidates.dense(images, mode)
    functions[BACKBONE] = lambda: candidates.taps_and_dense(images)
    for number in table.classes:
        functions[f"detector {number}"] = lambda number=number: candidates.detect(images, number)
    return functions


def autocast(device: str) -> AbstractContextManager:
    """bfloat16 on a GPU, nothing on a CPU."""
    return torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()


def peak_of(function: Callable[[], Any], device: str) -> int:
    """Bytes above what was held before, at the peak of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        function()
        return torch.cuda.max_memory_allocated() - before
    reset_peak()
    before = resident()
    function()
    return max(0, highest() - before)


def rows_of(
    timings: Timings,
    peaks: Mapping[str, int],
    parts: Mapping[str, Sequence[float]],
    table: Table,
    candidates: DenseCandidates,
) -> list[Row]:
    """Rows of one size.

    ``dense.ratio_to_plain`` per mode (goal 1.10) and ``detector.rest_to_backbone`` per number of
    classes (goal .6 at 800 pixels with 1,203): what a detector takes beyond ``taps and dense``,
    divided by that. The rest tells where they come from.
    """
    common = {
        "size": table.size,
        "batch": table.batch,
        "turns": table.turns,
        "arch": candidates.arch,
        "dtype": "bfloat16" if candidates.device == "cuda" else "float32",
        "plain": "open_clip's forward, built for this image size",
    }
    rows = []
    for name in timings.seconds:
        told = {**common, "method": name}
        speed = table.batch / timings.median(name)
        rows.append(row("dense.images_per_second", speed, "images/s", **told))
        rows.append(row("dense.peak_memory", peaks[name] / 2**20, "MiB", **told))
        if name in ("pooled", "taps", BACKBONE):
            ratio = timings.ratio(name, PLAIN)
            rows.append(row(f"{name.replace(' ', '_')}.ratio_to_plain", ratio, "times", **told))
        if name.startswith("dense "):
            ratio = timings.ratio(name, PLAIN)
            told |= {"mode": name.removeprefix("dense "), "goal": DENSE_GOAL}
            rows.append(row("dense.ratio_to_plain", ratio, "times", **told))
        if name.startswith("detector "):
            ratio = timings.ratio(name, BACKBONE) - 1
            told |= {"classes": int(name.split()[1]), "goal": REST_GOAL}
            rows.append(row("detector.rest_to_backbone", ratio, "times", **told))
            detections = candidates.detections[table.size, told["classes"]]
            rows.append(row("detector.detections", detections, "boxes/image", **told))
    for part, seconds in parts.items():
        share = statistics.median(seconds) / timings.median(BACKBONE)
        told = {**common, "method": f"detector {max(table.classes)}, {part}"}
        rows.append(row("detector.part_to_backbone", share, "times", part=part, **told))
    if "training step" in timings.seconds:
        told = {**common, "method": "training step"}
        seconds = timings.median("training step")
        rows.append(row("detector.training_step", seconds, "s", **told))
    return rows
