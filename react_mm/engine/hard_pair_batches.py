"""Batches in which pairs stand beside their hard pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

TABLE_NAME = "hard_pairs.parquet"
OWN_EPOCHS = 1 << 30  # hard pairs and fillers are augmented as in an epoch of their own per batch
_CHOICE, _FILLER = 0x4A4D, 0xF111  # streams of random numbers

Member = tuple[int, int, int]
"""(epoch, index, anchor): anchor is the pair for which this one is here, -1 for itself."""


def read_hard_pairs(folder: str | Path, names: list[str]) -> list[np.ndarray]:
    """Reads what :func:`react_mm.retrieval.hard_pairs.mine_retrieved` wrote.

    Args:
        folder: The folder ``hard_pairs`` of a retrieval.
        names: Names of the samples of a data set, by index.

    Returns:
        For each sample the indices of its hard pairs in the data set, hardest first; empty for
        samples that the table does not have. Hard pairs that the data set lacks are left out.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If no sample is in it.
    """
    path = Path(folder) / TABLE_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: run `python tools/retrieve.py hard-pairs CONFIG`"
        )
    table = pq.read_table(path, columns=["pair", "hard"])
    index_of = {name: index for index, name in enumerate(names)}
    place = np.array([index_of.get(name, -1) for name in table["pair"].to_pylist()], np.int64)
    if not (place >= 0).any():
        raise ValueError(
            f"{path} has no pair of the data set: it begins with "
            f"{table['pair'][0].as_py() if len(place) else 'nothing'!r}, the data set with "
            f"{names[0]!r}; give the source that was mined"
        )
    hard = [np.empty(0, np.int64) for _ in names]
    for row, near in enumerate(table["hard"].to_pylist()):
        if place[row] >= 0 and near:
            own = place[np.asarray(near)]
            hard[place[row]] = own[own >= 0]
    return hard


class HardPairBatches:
    """Makes batch number b of all processes as a function of (seed, b).

    Each anchor is followed by ``per_pair`` of its hard pairs, drawn among them anew each epoch. No
    pair is twice in a batch (it would be its own negative); where an anchor has too few hard pairs
    left, random pairs take their places.

    Args:
        anchors: Position -> (epoch, index) in the endless stream of pairs.
        hard: Hard pairs of each sample.
        indices: Indices of all pairs.
        per_pair: Hard pairs beside each anchor.
        size: Pairs per batch of all processes; a multiple of ``1 + per_pair``.
        seed: Of the choice.
    """

    def __init__(
        self,
        anchors: Callable[[int], tuple[int, int]],
        hard: list[np.ndarray],
        indices: np.ndarray,
        per_pair: int,
        size: int,
        seed: int,
    ) -> None:
        self.anchors, self.hard, self.indices = anchors, hard, indices
        self.per_pair, self.size, self.seed = per_pair, size, seed
        self._number, self._batch = -1, []

    def batch(self, number: int) -> list[Member]:
        """The pairs of batch ``number`` of all processes, in order."""
        if number != self._number:
            self._number, self._batch = number, self._make(number)
        return self._batch

    def _make(self, number: int) -> list[Member]:
        groups = self.size // (1 + self.per_pair)
        anchors = [self.anchors(number * groups + group) for group in range(groups)]
        taken = {index for _, index in anchors}
        filler = np.random.default_rng([self.seed, _FILLER, number])
        members: list[Member] = []
        for epoch, anchor in anchors:
            members.append((epoch, anchor, -1))
            near = self.hard[anchor]
            if len(near):
                order = np.random.default_rng([self.seed, _CHOICE, epoch, anchor])
                near = order.permutation(near)
            chosen = [int(i) for i in near if int(i) not in taken][: self.per_pair]
            taken.update(chosen)
            beside = [(index, anchor) for index in chosen]
            beside += [(self._fill(filler, taken), -1) for _ in range(self.per_pair - len(chosen))]
            members += [(OWN_EPOCHS + number, index, of) for index, of in beside]
        return members

    def _fill(self, generator: np.random.Generator, taken: set[int]) -> int:
        """A random pair that is not in the batch, if there is one."""
        for _ in range(100):
            index = int(self.indices[generator.integers(len(self.indices))])
            if index not in taken:
                break
        taken.add(index)
        return index
