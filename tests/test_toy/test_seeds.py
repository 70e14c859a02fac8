"""Intervals and the table over seeds, by hand."""

import math

import pytest

from react_mm.toy.seeds import interval, table


def arm(value):
    return {"zero_shot": {"target": value, "other": 0.8}, "ap50": {"base": 0.5, "novel": value}}


def seeds(*values):
    return [
        {
            "before": arm(0.1),
            "after": arm(v),
            "plain": arm(0.4),
            "control": arm(0.2),
            "linear head": {"zero_shot": {"target": v / 2, "other": 0.7}},
            "linear head, teacher": {"zero_shot": {"target": 0.3, "other": 0.7}},
        }
        for v in values
    ]


def test_interval_is_students_t():
    mean, half = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(.975, 4) = 2.7764; s = sqrt(2.5)
    assert mean == 3 and half == pytest.approx(2.7764 * math.sqrt(2.5 / 5), abs=1e-3)
    assert math.isnan(interval([1.0])[1])


def test_table_has_every_arm_and_paired_differences():
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table(seeds(0.5, 0.6, 0.7)).splitlines()
    }
    assert rows[""] == ["zero_shot.target", "zero_shot.other", "ap50.base", "ap50.novel"]
    # s = .1, t(.975, 2) = 4.3027: 4.3027 * .1 / sqrt(3) = .2484
    assert rows["after"][0] == "60.0 ± 24.8"
    assert rows["after - before (paired)"][0] == "50.0 ± 24.8"
    assert rows["after - control (paired)"][0] == "40.0 ± 24.8"
    assert rows["linear head"] == ["30.0 ± 12.4", "70.0 ± 0.0", "-", "-"]
