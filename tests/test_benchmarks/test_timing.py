"""Turns, medians and per-turn ratios."""

import pytest

from react_mm.benchmarks.timing import Timings, row, take_turns


def test_candidates_take_turns_after_warming_up():
    calls = []
    timings = take_turns({n: (lambda n=n: calls.append(n)) for n in "ab"}, turns=2, warmup=1)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(seconds) for name, seconds in timings.seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_taken_within_a_turn():
    # a neighbour slows the second turn tenfold; the ratio of medians would say 1.0
    timings = Timings({"own": [2.0, 20.0, 2.0], "other": [1.0, 10.0, 2.0]})
    assert timings.ratio("own", "other") == 2.0
    assert timings.median("own") == 2.0


@pytest.mark.parametrize("candidates, turns", [({}, 1), ({"a": int}, 0)])
def test_nothing_to_time_is_refused(candidates, turns):
    with pytest.raises(ValueError, match="nothing to time"):
        take_turns(candidates, turns)


def test_row_names_the_machine():
    made = row("x", 1.5, "s", batch=4)
    assert {"name", "value", "unit", "settings"} == set(made)
    assert made["settings"]["batch"] == 4
    assert {"torch", "threads", "device"} <= set(made["settings"])
