"""Rows of all processes, with gradient: one process sees the batch of all of them."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """Rank and number of processes; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@dataclass(frozen=True)
class GatheredRows:
    """How many rows each process holds, so that tensors can be gathered row by row.

    Attributes:
        counts: Rows of each process, by rank.
        rank: This process.
    """

    counts: tuple[int, ...]
    rank: int

    @classmethod
    def of(cls, rows: int, device: torch.device, gather: bool = True) -> "GatheredRows":
        """Asks every process for its number of rows.

        Args:
            rows: Rows of this process; it may be zero, and differ from the others'.
            device: Where the process group communicates.
            gather: False: this process stands alone.
        """
        rank, size = world() if gather else (0, 1)
        if size == 1:
            return cls((rows,), 0)
        own = torch.tensor([rows], device=device)
        counts = [torch.zeros_like(own) for _ in range(size)]
        dist.all_gather(counts, own)
        return cls(tuple(int(c) for c in counts), rank)

    @property
    def total(self) -> int:
        """Rows of all processes."""
        return sum(self.counts)

    @property
    def offset(self) -> int:
        """Position of this process's first row among all."""
        return sum(self.counts[: self.rank])

    @property
    def share(self) -> float:
        """What a sum over this process's rows is multiplied by.

        Distributed training averages gradients over processes; with this factor the average is the
        gradient of the mean over all rows, also where processes hold different numbers of them.
        """
        return len(self.counts) / max(self.total, 1)

    def gather(self, tensor: Tensor) -> Tensor:
        """All processes' rows in order of rank.

        Args:
            tensor: (rows, ...) of this process.

        Returns:
            (total, ...). The gradient of each row reaches the process it came from, summed over
            what every process made of it.
        """
        if len(self.counts) == 1:
            return tensor
        return _Gather.apply(tensor, self)


class _Gather(torch.autograd.Function):
    """all_gather whose backward sums every process's gradient of the rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rows: GatheredRows) -> Tensor:
        ctx.rows = rows
        most = max(rows.counts)
        padded = tensor.new_zeros((most, *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in rows.counts]
        dist.all_gather(parts, padded)
        return torch.cat([p[:n] for p, n in zip(parts, rows.counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        first = ctx.rows.offset
        return summed[first : first + ctx.rows.counts[ctx.rows.rank]], None
