"""Two processes that take jobs side by side, one thread each.

Small models leave most of a second thread idle; two jobs at once use both cores. The jobs are
functions of this package with plain arguments, so that a spawned process can import them.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def lane_number() -> int:
    """Which lane this process is, from 0; 0 outside the lanes."""
    identity = multiprocessing.current_process()._identity
    return identity[-1] % 2 if identity else 0


def _open_lane(lock: Any) -> None:
    warnings.filterwarnings("ignore")
    tqdm.set_lock(lock)
    import torch

    torch.set_num_threads(1)


class Lanes:
    """A lazily started pool of processes.

    Args:
        count: How many jobs run side by side.
    """

    def __init__(self, count: int = 2) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        """Hands a job to the next free lane.

        Args:
            function: A module-level function.
            *args: Its arguments; they must be picklable, as must be its result.
        """
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            old = {name: os.environ.get(name) for name in THREADS}
            os.environ.update(dict.fromkeys(THREADS, "1"))  # read by a process when it starts
            self._pool = ProcessPoolExecutor(
                self.count, context, initializer=_open_lane, initargs=(context.RLock(),)
            )
            # The processes start with the first jobs: one for each lane, before the reset.
            for future in [self._pool.submit(os.getpid) for _ in range(self.count)]:
                future.result()
            for name, value in old.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        return self._pool.submit(function, *args)

    def close(self) -> None:
        """Ends the processes; jobs that have not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
