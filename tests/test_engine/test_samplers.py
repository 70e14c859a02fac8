from collections import Counter
from itertools import islice

import numpy as np
import pytest

from react_mm.engine import samplers
from react_mm.engine.samplers import PairSampler


class Roles:
    """A data set of which every third sample is a general image."""

    def __init__(self, size=25):
        self.size = size

    def __len__(self):
        return self.size

    def indices_of(self, role):
        general = np.arange(self.size) % 3 == 2
        return np.flatnonzero(general if role == "general" else ~general)


def sampler(size=25, rank=0, world=1, monkeypatch=None, **options):
    if monkeypatch is not None:
        monkeypatch.setattr(samplers, "get_dist_info", lambda: (rank, world))
    return PairSampler(Roles(size), seed=options.pop("seed", 3), **options)


def take(stream, number):
    return list(islice(iter(stream), number))


def test_every_epoch_has_every_sample_once_in_another_order():
    drawn = take(sampler(), 75)
    for epoch in range(3):
        part = drawn[25 * epoch : 25 * (epoch + 1)]
        assert {e for e, _ in part} == {epoch}
        assert sorted(i for _, i in part) == list(range(25))
    assert [i for _, i in drawn[:25]] != [i for _, i in drawn[25:50]]
    assert [i for _, i in drawn[:25]] != list(range(25))
    assert take(sampler(seed=4), 25) != drawn[:25]
    assert take(sampler(), 75) == drawn
    assert take(sampler(shuffle=False), 30) == [divmod(i, 25) for i in range(30)]


ROLES = dict(pairs_per_batch=4, general_per_batch=2)


@pytest.mark.parametrize("options", [{}, ROLES, dict(pairs_per_batch=3)])
@pytest.mark.parametrize("consumed", [0, 1, 6, 24, 25, 26, 131])
def test_skip_continues_where_the_unbroken_run_is(options, consumed):
    whole = take(sampler(**options), consumed + 60)
    resumed = sampler(**options)
    resumed.skip(consumed)
    assert take(resumed, 60) == whole[consumed:]


def test_skip_does_not_replay(monkeypatch):
    calls = []
    original = samplers._Stream.__getitem__
    monkeypatch.setattr(
        samplers._Stream, "__getitem__", lambda s, p: calls.append(p) or original(s, p)
    )
    far = sampler(**ROLES)
    far.skip(6 * 10**9)
    take(far, 6)
    assert len(calls) == 6
    with pytest.raises(ValueError, match="negative"):
        far.skip(-1)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_an_epoch_without_overlap(monkeypatch, world):
    size = 12 * world
    shards = [take(sampler(size, r, world, monkeypatch), 24) for r in range(world)]
    for epoch in range(2):
        drawn = Counter(i for shard in shards for e, i in shard if e == epoch)
        assert drawn == Counter(range(size))


@pytest.mark.parametrize("options", [dict(pairs_per_batch=2, general_per_batch=1), {}])
def test_two_processes_make_the_batches_of_one(monkeypatch, options):
    double = {k: 2 * v for k, v in options.items()}
    per_process = sum(options.values()) or 3
    one = take(sampler(**double), 20 * per_process)
    parts = [take(sampler(25, r, 2, monkeypatch, **options), 10 * per_process) for r in (0, 1)]
    for step in range(10):
        at = slice(step * per_process, (step + 1) * per_process)
        both = slice(2 * step * per_process, 2 * (step + 1) * per_process)
        assert sorted(parts[0][at] + parts[1][at]) == sorted(one[both])


def test_roles_in_every_batch_and_their_own_epochs():
    stream = sampler(25, pairs_per_batch=4, general_per_batch=2)
    drawn = take(stream, 6 * 40)
    general = set(Roles().indices_of("general").tolist())
    pair_draws, general_draws = [], []
    for start in range(0, len(drawn), 6):
        batch = drawn[start : start + 6]
        assert [i in general for _, i in batch] == [False] * 4 + [True] * 2
        pair_draws += batch[:4]
        general_draws += batch[4:]
    assert Counter(i for e, i in pair_draws if e == 0) == Counter(
        Roles().indices_of("pair").tolist()
    )
    assert Counter(i for e, i in general_draws if e == 3) == Counter(dict.fromkeys(general, 1))
    assert stream.batch_size == 6
    assert len(set(pair_draws)) == len(pair_draws)  # no (epoch, index) twice: no augmentation twice


def test_a_finite_sampler_gives_one_epoch():
    finite = sampler(infinite=False)
    epochs = []
    for epoch in range(2):
        finite.set_epoch(epoch)
        epochs.append(list(finite))
        assert len(epochs[-1]) == len(finite) == 25
    assert epochs[0] + epochs[1] == take(sampler(), 50)
    assert len(sampler(infinite=False, **ROLES)) == 5 * 6  # 17 pairs at 4 a batch


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ValueError, match="role 'general'"):
        PairSampler(Roles(2), pairs_per_batch=2, general_per_batch=1)
    with pytest.raises(ValueError, match="nothing to sample"):
        PairSampler(Roles(0))
    with pytest.raises(ValueError, match="nothing to sample"):
        PairSampler(Roles(9), pairs_per_batch=0, general_per_batch=0)
