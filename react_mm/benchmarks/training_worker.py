"""One way of training in a process of its own, so that its memory can be told from others'.

The process reads one JSON command per line and answers each with one JSON line.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class TrainingProcess:
    """A worker that is started, asked, and ended.

    Args:
        name: A candidate of :data:`react_mm.benchmarks.training_candidates.CANDIDATES`.
        arch: Architecture.
        folder: Of :func:`react_mm.benchmarks.training_candidates.write_pictures`.
        captions: As there.
        device: ``cpu`` or ``cuda``.

    Raises:
        RuntimeError: If it ends before its time; with what it wrote last.
    """

    def __init__(
        self, name: str, arch: str, folder: Path, captions: list[str], device: str
    ) -> None:
        self.name, self.errors = name, folder / f"{name.replace(' ', '_')}.log"
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(self.errors, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "react_mm.benchmarks.training_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        start = time.perf_counter()
        self.ask(
            "build", name=name, arch=arch, folder=str(folder), captions=captions, device=device
        )
        self.start_seconds = time.perf_counter() - start

    def ask(self, command: str, **arguments: Any) -> Any:
        """Sends a command of :class:`Worker` and waits for its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.process.wait()
            tail = self.errors.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {tail}")
        return json.loads(answer)

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Worker:
    """The commands, inside the process."""

    def __init__(self) -> None:
        self.training: Any = None
        self.device = "cpu"
        self.baseline = 0

    def build(self, name: str, arch: str, folder: str, captions: list[str], device: str) -> bool:
        """Builds the candidate; memory is counted from after the imports on."""
        import torch

        from react_mm.benchmarks import training_candidates

        torch.manual_seed(0)
        self.device, self.baseline = device, resident()
        if device == "cuda":
            torch.zeros(1, device=device)
            self.baseline = torch.cuda.memory_allocated()
        self.training = training_candidates.build(name, arch, folder, captions, device)
        return True

    def step(self, batch: int) -> dict[str, float]:
        """One training step; seconds of its parts."""
        return self.training.step(batch)

    def peak(self, batch: int, steps: int = 2) -> int:
        """Bytes above the baseline at the peak of ``steps`` steps with this batch."""
        import torch

        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            reset_peak()
        for _ in range(steps):
            self.training.step(batch)
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() - self.baseline
        return highest() - self.baseline

    def facts(self) -> dict[str, int]:
        """Parameters and bytes of what is trained."""
        return self.training.facts()


def reset_peak() -> bool:
    """Gives freed memory back and sets the peak to what is resident now (Linux).

    Returns:
        Whether that was allowed; if not, the peak includes building the model.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim  # glibc keeps what was freed
        trim(0)
    except (OSError, AttributeError):
        pass
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def highest() -> int:
    """Bytes at the peak of this process's memory: ``VmHWM``, or ``ru_maxrss`` where there is none.

    ``ru_maxrss`` alone would not do: it begins with what the starting process had.
    """
    return _status("VmHWM")


def resident() -> int:
    """Bytes of this process in memory now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Answers commands until the input ends; anything else that prints goes to the error output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = getattr(worker, arguments.pop("command"))(**arguments)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
