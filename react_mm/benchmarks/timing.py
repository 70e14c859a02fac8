"""Timing that survives busy neighbours: candidates take turns, and ratios are taken per turn."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Timings:
    """Seconds of each candidate in each turn, ``{name: [turn 0, turn 1, ...]}``."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of one candidate."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, reference: str) -> float:
        """Median over turns of a candidate's seconds divided by the reference's in that turn."""
        pairs = zip(self.seconds[name], self.seconds[reference], strict=True)
        return statistics.median(own / other for own, other in pairs)


def take_turns(candidates: Mapping[str, Callable[[], Any]], turns: int, warmup: int = 1) -> Timings:
    """Calls every candidate once per turn and records the seconds.

    Args:
        candidates: Functions by name.
        turns: How often each is timed.
        warmup: Untimed calls of each before.

    Returns:
        The timings.

    Raises:
        ValueError: When there is nothing to time.
    """
    if not candidates or turns < 1:
        raise ValueError("nothing to time: give at least one candidate and one turn")
    for function in candidates.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(turns):
        for name, function in candidates.items():
            _wait()
            start = time.perf_counter()
            function()
            _wait()
            seconds[name].append(time.perf_counter() - start)
    return Timings(seconds)


def row(name: str, value: float, unit: str, **settings: Any) -> Row:
    """One result row, with the machine's part of the settings added.

    Args:
        name: What was measured.
        value: The number.
        unit: Its unit.
        **settings: Everything needed to measure it again.

    Returns:
        A JSON-able row.
    """
    machine = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    return {"name": name, "value": value, "unit": unit, "settings": {**settings, **machine}}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
