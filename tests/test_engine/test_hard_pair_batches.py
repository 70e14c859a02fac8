"""Hard pairs beside their anchors: which, how often, in which process, after a resume."""

from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from react_mm.datasets import PairDataset
from react_mm.engine import samplers
from react_mm.engine.hard_pair_batches import OWN_EPOCHS, read_hard_pairs
from react_mm.engine.samplers import PairSampler
from tests.pair_shards import write_shard

SIZE = 24  # pairs; as many general images follow


class Pairs:
    def __len__(self):
        return 2 * SIZE

    def indices_of(self, role):
        return np.arange(SIZE) + SIZE * (role == "general")

    def key(self, index):
        return f"s/{index}"


def table(folder, hard):
    pq.write_table(
        pa.table({"pair": [f"s/{i}" for i in range(SIZE)], "hard": pa.array(hard)}),
        folder / "hard_pairs.parquet",
    )
    return str(folder)


@pytest.fixture
def near(tmp_path):
    """Pair i is near to i + 1, i + 2, i + 3 (of 24); 5 and 6 are near to nothing."""
    hard = [[] if i in (5, 6) else [(i + d) % SIZE for d in (1, 2, 3)] for i in range(SIZE)]
    return table(tmp_path, hard)


def sampler(folder, rank=0, world=1, monkeypatch=None, **options):
    if monkeypatch is not None:
        monkeypatch.setattr(samplers, "get_dist_info", lambda: (rank, world))
    options = {"pairs_per_batch": 6, "general_per_batch": 2, "hard_per_pair": 1, **options}
    return PairSampler(Pairs(), seed=3, hard_pairs=folder, **options)


def take(stream, number):
    return list(islice(iter(stream), number))


def batches(stream, number, size=8):
    drawn = take(stream, number * size)
    return [drawn[i : i + size] for i in range(0, len(drawn), size)]


@pytest.mark.parametrize("per_pair", [1, 2])
def test_an_anchors_hard_pairs_follow_it(near, per_pair):
    anchors, beside = [], Counter()
    for number, batch in enumerate(batches(sampler(near, hard_per_pair=per_pair), 40)):
        pairs, general = batch[:6], batch[6:]
        assert all(index >= SIZE and anchor == -1 for _, index, anchor in general)
        assert len({index for _, index, _ in pairs}) == 6  # none is its own negative
        for first in range(0, 6, 1 + per_pair):
            epoch, own, anchor = pairs[first]
            assert anchor == -1 and epoch < OWN_EPOCHS
            anchors.append((epoch, own))
            for their_epoch, index, of in pairs[first + 1 : first + 1 + per_pair]:
                assert their_epoch == OWN_EPOCHS + number and index < SIZE
                assert of == -1 if own in (5, 6) else of in (own, -1)
                if of >= 0:
                    assert (index - own) % SIZE in (1, 2, 3)
                    beside[(index - own) % SIZE] += 1
    assert sorted(index for epoch, index in anchors if epoch == 0) == list(range(SIZE))
    assert sorted(beside) == [1, 2, 3] and min(beside.values()) > 5
    assert sum(beside.values()) > 0.7 * len(anchors) * per_pair


@pytest.mark.parametrize("consumed", [0, 1, 5, 8, 63, 64, 1001])
def test_after_a_resume_the_order_is_the_same(near, consumed):
    whole = take(sampler(near), consumed + 40)
    resumed = sampler(near)
    resumed.skip(consumed)
    assert take(resumed, 40) == whole[consumed:]


def test_nothing_is_replayed(near, monkeypatch):
    calls = []
    original = samplers._Stream.__getitem__
    far = sampler(near)
    far._hard.anchors = lambda p: calls.append(p) or original(far.streams[0], p)
    far.skip(8 * 10**9)
    take(far, 8)
    assert calls == [3 * 10**9, 3 * 10**9 + 1, 3 * 10**9 + 2]


def test_two_processes_make_the_batches_of_one(near, monkeypatch):
    one = batches(sampler(near, pairs_per_batch=12, general_per_batch=4), 20, size=16)
    parts = [batches(sampler(near, r, 2, monkeypatch), 20) for r in (0, 1)]
    for both, first, second in zip(one, *parts, strict=True):
        assert sorted(first + second) == sorted(both)
        for part in (first, second):  # an anchor and what is beside it stay together
            own = {index for _, index, anchor in part if anchor == -1}
            assert {anchor for _, _, anchor in part} - {-1} <= own


def test_an_epoch_is_one_pass_of_the_anchors(near):
    finite = sampler(near, infinite=False)
    assert len(finite) == SIZE // 3 * 8
    assert len(list(finite)) == len(finite)


def test_the_data_set_tells_the_batch_who_is_beside_whom(tmp_path):
    write_shard(tmp_path / "s.tar", 6)
    dataset = PairDataset([dict(path=str(tmp_path / "s.tar"))])
    names = [dataset.key(i) for i in range(6)]
    pq.write_table(
        pa.table(
            {"pair": [*names, "s/gone"], "hard": pa.array([[1, 6], [0], [3], [2], [], [], []])}
        ),
        tmp_path / "hard_pairs.parquet",
    )
    hard = read_hard_pairs(tmp_path, names)
    assert [h.tolist() for h in hard] == [[1], [0], [3], [2], [], []]
    drawn = take(PairSampler(dataset, 0, pairs_per_batch=2, hard_pairs=str(tmp_path)), 12)
    items = [dataset[position] for position in drawn]
    assert [item["anchor"] for item in items] == [position[2] for position in drawn]
    assert [item["pair_index"] for item in items] == [position[1] for position in drawn]
    assert {(i["anchor"], i["pair_index"]) for i in items} >= {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert "anchor" not in dataset[(0, 1)]


def test_what_does_not_fit_is_refused(near, tmp_path):
    with pytest.raises(ValueError, match="multiple of 2 .* not 5"):
        sampler(near, pairs_per_batch=5)
    with pytest.raises(ValueError, match="multiple of 2"):
        PairSampler(Pairs(), 0, hard_pairs=near)
    with pytest.raises(FileNotFoundError, match="retrieve.py hard-pairs"):
        sampler(str(tmp_path / "none"))
    pq.write_table(pa.table({"pair": ["other/1"], "hard": [[0]]}), tmp_path / "hard_pairs.parquet")
    with pytest.raises(ValueError, match="no pair of the data set"):
        sampler(str(tmp_path))
