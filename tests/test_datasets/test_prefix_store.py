"""Stored prefixes: right rows, whole parts, continued fills, other identities left alone."""

import numpy as np
import pytest

from react_mm.datasets import prefix_store
from react_mm.datasets.prefix_store import PrefixStore


def encode(batch: np.ndarray) -> np.ndarray:
    return batch.astype(np.float32).reshape(len(batch), 2, -1) / 7


def items(numbers, loads=None):
    def load(number):
        if loads is not None:
            loads.append(number)
        return np.full((3, 2, 2), number, np.uint8)

    return [(f"digest-{n}", lambda n=n: load(n)) for n in numbers]


def test_each_image_gets_its_own_row_across_batches_and_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(prefix_store, "PART_ROWS", 5)
    store = PrefixStore(tmp_path, "a")
    assert store.fill(items(range(13)), encode, batch_size=2) == 13
    assert len(list(tmp_path.glob("part-*.npy"))) == 3
    for opened in (store, PrefixStore(tmp_path, "a")):
        for number in range(13):
            row = opened[f"digest-{number}"]
            assert row.dtype == np.float16 and row.shape == (2, 6)
            np.testing.assert_allclose(row, np.float16(number / 7))


def test_only_what_is_missing_is_computed(tmp_path):
    loads = []
    PrefixStore(tmp_path, "a").fill(items([1, 2, 2, 1], loads), encode)
    assert sorted(loads) == [1, 2]
    assert PrefixStore(tmp_path, "a").fill(items([2, 3], loads), encode) == 1
    assert sorted(loads) == [1, 2, 3]


def test_a_fill_that_dies_keeps_its_finished_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(prefix_store, "PART_ROWS", 2)

    def dying(batch):
        if batch.max() >= 4:
            raise KeyboardInterrupt
        return encode(batch)

    with pytest.raises(KeyboardInterrupt):
        PrefixStore(tmp_path, "a").fill(items(range(6)), dying, batch_size=1)
    assert not list(tmp_path.glob(".tmp-*"))
    loads = []
    PrefixStore(tmp_path, "a").fill(items(range(6), loads), encode)
    assert loads == [4, 5]


def test_another_identity_sees_nothing(tmp_path):
    PrefixStore(tmp_path, "a").fill(items([1]), encode)
    other = PrefixStore(tmp_path, "b")
    assert len(other) == 0 and "digest-1" not in other
    other.fill(items([1]), lambda batch: encode(batch) + 1)
    assert PrefixStore(tmp_path, "a")["digest-1"][0, 0] < other["digest-1"][0, 0]


def test_a_part_of_the_wrong_length_is_refused(tmp_path):
    PrefixStore(tmp_path, "a").fill(items([1, 2]), encode)
    part = next(tmp_path.glob("part-*.npy"))
    np.save(part, np.load(part)[:1])
    with pytest.raises(ValueError, match="1 rows for 2 images"):
        PrefixStore(tmp_path, "a")


def test_values_beyond_float16_are_refused(tmp_path):
    with pytest.raises(ValueError, match="beyond float16"):
        PrefixStore(tmp_path, "a").fill(items([1]), lambda batch: encode(batch) * 1e9)
