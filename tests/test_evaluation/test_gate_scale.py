"""Rules that read settings from the validation split."""

import pytest

from react_mm.evaluation.gate_scale import (
    choose_block_scales,
    choose_gate_scale,
    choose_largest,
    gate_curve,
    harmonic_mean,
)


def row(scale, target, other):
    return {"scale": scale, "target": target, "other": other}


def test_largest_target_within_the_allowed_drop():
    rows = [row(0, 0.2, 0.8), row(0.5, 0.6, 0.78), row(0.75, 0.7, 0.77), row(1, 0.8, 0.76)]
    assert choose_gate_scale(rows, allowed_drop=0.03) == 0.75
    assert choose_gate_scale(rows, allowed_drop=0.05) == 1
    assert choose_gate_scale(rows, allowed_drop=0.0) == 0


def test_equal_targets_give_the_smaller_scale():
    rows = [row(1, 0.7, 0.8), row(0.5, 0.7, 0.8), row(0, 0.2, 0.8)]
    assert choose_gate_scale(rows) == 0.5


def test_base_is_needed():
    with pytest.raises(ValueError, match="lacks scale 0"):
        choose_gate_scale([row(0.5, 0.6, 0.8)])


def test_drop_of_exactly_the_allowed_size_is_kept():
    assert choose_gate_scale([row(0, 0.2, 0.8), row(1, 0.6, 0.77)], allowed_drop=0.03) == 1


def test_largest_takes_the_first_of_equals_and_refuses_nan():
    rows = [{"a": 1, "v": 0.5}, {"a": 2, "v": 0.7}, {"a": 3, "v": 0.7}]
    assert choose_largest(rows, "v")["a"] == 2
    with pytest.raises(ValueError, match="nothing to choose"):
        choose_largest([], "v")
    with pytest.raises(ValueError, match="not a number"):
        choose_largest([{"v": float("nan")}, {"v": 1.0}], "v")


@pytest.mark.parametrize(
    "first, second, mean", [(0.5, 0.5, 0.5), (0.0, 0.9, 0.0), (1.0, 0.5, 2 / 3)]
)
def test_harmonic_mean(first, second, mean):
    assert harmonic_mean(first, second) == pytest.approx(mean)


def test_curve_always_has_the_base():
    rows = gate_curve(lambda s: (s, 1 - s / 10), scales=(1, 0.5))
    assert [r["scale"] for r in rows] == [0.0, 0.5, 1.0]
    assert all(isinstance(r["scale"], float) for r in rows)
    assert choose_gate_scale(rows, allowed_drop=0.06) == 0.5


def test_blocks_one_by_one_never_end_below_the_common_scale():
    # block 0 costs what was known and gains little, block 1 gains for free
    def measure(scales):
        first, second = scales
        return 0.2 * first + 0.6 * second, 0.8 - 0.1 * first

    chosen, rows = choose_block_scales(measure, 0.25, 2, floor=0.75)
    assert chosen == (0.5, 1.0)
    assert rows[0]["scale"] == [0.25, 0.25] and len(rows) == 1 + 2 * 4
    assert measure(chosen)[0] > measure((0.25, 0.25))[0] and measure(chosen)[1] >= 0.75
    stuck, _ = choose_block_scales(measure, 0.25, 2, floor=0.9)
    assert stuck == (0.25, 0.25)
