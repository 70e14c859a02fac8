"""Samplers whose position is a number: they resume there without replaying what came before."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from react_mm.engine.hard_pair_batches import HardPairBatches, read_hard_pairs
from react_mm.registry import DATA_SAMPLERS

ROLE_NAMES = ("pair", "general")


class _Stream:
    """An endless sequence of (epoch, index): epoch e is a permutation of ``indices``.

    Any position can be asked for; only the permutation of one epoch is held.
    """

    def __init__(self, indices: np.ndarray, seed: int, shuffle: bool, number: int) -> None:
        self.indices, self.seed, self.shuffle, self.number = indices, seed, shuffle, number
        self._epoch, self._order = -1, indices

    def __getitem__(self, position: int) -> tuple[int, int]:
        epoch, offset = divmod(position, len(self.indices))
        if epoch != self._epoch:
            self._epoch = epoch
            if self.shuffle:
                generator = np.random.default_rng([self.seed, self.number, epoch])
                self._order = generator.permutation(self.indices)
        return epoch, int(self._order[offset])


@DATA_SAMPLERS.register_module()
class PairSampler(Sampler):
    """Yields (epoch, index) for :class:`react_mm.datasets.pairs.PairDataset`.

    Each epoch visits every sample exactly once, in an order that is a function of (seed, epoch).
    The processes of a distributed run take turns, so that their shards are disjoint and their
    batches together are those of one process with the batch of all.

    With ``pairs_per_batch`` and ``general_per_batch`` each batch of the data loader is made of that
    many samples of the one role, then of the other; each role has its own epochs. The data loader's
    ``batch_size`` must be their sum (the tools check it).

    With ``hard_pairs`` each batch is made of anchors, which pass through the epochs, and of hard
    pairs of theirs (:class:`react_mm.engine.hard_pair_batches.HardPairBatches`); what is yielded
    is then (epoch, index, anchor).

    Resuming: mmengine's ``IterBasedTrainLoop`` (0.10.12) calls :meth:`skip` with the number of
    samples already consumed. Nothing is read or drawn for them; the cost is one permutation.

    Args:
        dataset: Sized; for the roles it needs ``indices_of(role)``.
        seed: Of the order; shared by the processes. None draws one and shares it.
        shuffle: Whether epochs are permuted.
        infinite: True for ``IterBasedTrainLoop``; False yields one epoch per iteration
            (``EpochBasedTrainLoop``, with ``set_epoch``).
        pairs_per_batch: Samples of role ``pair`` per batch and process.
        general_per_batch: Samples of role ``general`` per batch and process.
        hard_pairs: Folder with mined hard pairs of the data set (``tools/retrieve.py hard-pairs``).
        hard_per_pair: How many of them stand beside each anchor; ``pairs_per_batch`` must be a
            multiple of one more than this.

    Raises:
        ValueError: If a role is asked for of which the data set has none, or the hard pairs do not
            fit the batch or the data set.
        FileNotFoundError: If the hard pairs have not been mined.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        shuffle: bool = True,
        infinite: bool = True,
        pairs_per_batch: int | None = None,
        general_per_batch: int | None = None,
        hard_pairs: str | None = None,
        hard_per_pair: int = 1,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.infinite = infinite
        self.position = 0  # samples of this process consumed before the first one yielded
        self.epoch = 0
        if pairs_per_batch is None and general_per_batch is None:
            self.per_batch = [1]
            groups = [np.arange(len(dataset))]
        else:
            self.per_batch = [pairs_per_batch or 0, general_per_batch or 0]
            groups = [dataset.indices_of(role) for role in ROLE_NAMES]
            for role, wanted, indices in zip(ROLE_NAMES, self.per_batch, groups, strict=True):
                if wanted < 0 or (wanted and not len(indices)):
                    raise ValueError(
                        f"PairSampler: {wanted} samples of role {role!r} per batch asked for, the "
                        f"data set has {len(indices)}: add a source with role={role!r}"
                    )
        if not sum(self.per_batch) or not len(groups[0]):
            raise ValueError("PairSampler: nothing to sample from")
        self.streams = [_Stream(g, self.seed, shuffle, n) for n, g in enumerate(groups)]
        self.group = 1  # pairs of a batch per step of the stream of pairs
        self._hard: HardPairBatches | None = None
        if hard_pairs is not None:
            self._use_hard_pairs(dataset, hard_pairs, hard_per_pair)

    def _use_hard_pairs(self, dataset: Sized, folder: str, per_pair: int) -> None:
        share, self.group = self.per_batch[0], 1 + per_pair
        if len(self.per_batch) == 1 or per_pair < 1 or not share or share % self.group:
            raise ValueError(
                f"PairSampler: with hard_pairs, pairs_per_batch must be a multiple of {self.group} "
                f"(an anchor and hard_per_pair={per_pair} beside it), not {share}"
            )
        names = [dataset.key(index) for index in range(len(dataset))]
        self._hard = HardPairBatches(
            self.streams[0].__getitem__,
            read_hard_pairs(folder, names),
            self.streams[0].indices,
            per_pair,
            share * self.world_size,
            self.seed,
        )

    @property
    def batch_size(self) -> int | None:
        """Batch size that the roles ask for; None without roles."""
        return sum(self.per_batch) if len(self.per_batch) > 1 else None

    def __len__(self) -> int:
        """Samples of this process in one epoch (of the first role, where there are roles)."""
        share = (self.per_batch[0] or self.per_batch[-1]) // self.group
        leading = self.streams[0 if self.per_batch[0] else -1]
        rounds = -(-len(leading.indices) // (share * self.world_size))
        return rounds * sum(self.per_batch)

    def skip(self, num_samples: int) -> None:
        """Starts after ``num_samples`` samples of this process, counted from the very beginning.

        Raises:
            ValueError: If it is negative.
        """
        if num_samples < 0:
            raise ValueError(f"PairSampler.skip: {num_samples} is negative")
        self.position = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that a finite sampler yields; an infinite one counts by itself."""
        self.epoch = epoch

    def at(self, position: int) -> tuple[int, ...]:
        """(epoch, index), with hard pairs (epoch, index, anchor), of sample ``position``."""
        batch, slot = divmod(position, sum(self.per_batch))
        if self._hard is not None:
            first = self.rank * self.per_batch[0]
            if slot < self.per_batch[0]:
                return self._hard.batch(batch)[first + slot]
            return (*self._at(batch, slot), -1)
        return self._at(batch, slot)

    def _at(self, batch: int, slot: int) -> tuple[int, int]:
        for stream, share in zip(self.streams, self.per_batch, strict=True):
            if slot < share:
                return stream[(batch * self.world_size + self.rank) * share + slot]
            slot -= share
        raise AssertionError("slot outside the batch")

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        if self.infinite:
            position = self.position
            while True:
                yield self.at(position)
                position += 1
        length = len(self)
        for position in range(self.epoch * length, (self.epoch + 1) * length):
            yield self.at(position)
