"""Any set of result files as a table in three forms."""

import csv
import io
import json

import pytest

from react_mm.reporting.table import collect, render, rows_of, shown
from tests.test_reporting.fake_run import VALUES, fake_results


@pytest.fixture
def files(tmp_path):
    demo = tmp_path / "demo" / "results.json"
    demo.parent.mkdir()
    demo.write_text(json.dumps(fake_results()))
    other = tmp_path / "mine.json"
    other.write_text(json.dumps({"zero_shot": {"target": 0.5}, "extra": 3, "list": [1]}))
    return demo, other


def test_arms_become_columns_and_other_files_one(files):
    columns = collect(files)
    assert list(columns) == ["before", "after", "plain", "control", "mine"]
    assert columns["plain"]["zero_shot.target"] == VALUES["plain"][0]
    assert columns["mine"] == {"zero_shot.target": 0.5, "extra": 3}


def test_rows_keep_order_and_mark_what_is_missing(files):
    rows = rows_of(collect(files))
    by_metric = {row["metric"]: row for row in rows}
    assert by_metric["extra"]["before"] is None
    assert by_metric["extra"]["mine"] == 3
    assert [row["metric"] for row in rows][-1] == "extra"
    kept = rows_of(collect(files), ["extra", "ap50.novel"])
    assert [row["metric"] for row in kept] == ["extra", "ap50.novel"]


def test_three_forms_hold_the_same_values(files):
    rows = rows_of(collect(files), ["zero_shot.target", "extra"])
    assert json.loads(render(rows, "json")) == rows
    read = list(csv.DictReader(io.StringIO(render(rows, "csv"))))
    assert [float(row["mine"]) for row in read] == [0.5, 3.0]
    lines = render(rows, "markdown").splitlines()
    assert lines[0] == "| metric | before | after | plain | control | mine |"
    assert lines[2] == "| zero_shot.target | 0.21 | 0.72 | 0.74 | 0.24 | 0.5 |"
    assert lines[3] == "| extra | - | - | - | - | 3 |"


def test_clear_refusals(files):
    demo, other = files
    with pytest.raises(ValueError, match="exists already"):
        collect([demo, demo])
    with pytest.raises(ValueError, match="1 names were given for 2 files"):
        collect(files, ["a"])
    with pytest.raises(ValueError, match="no result file"):
        collect([])
    with pytest.raises(ValueError, match="no result file has 'ap'"):
        rows_of(collect([other]), ["ap"])
    with pytest.raises(ValueError, match="unknown form"):
        render([], "html")


def test_names_tell_two_runs_apart(files):
    demo, _ = files
    columns = collect([demo, demo], ["first", "second"])
    assert "first: after" in columns
    assert "second: after" in columns


@pytest.mark.parametrize(
    "value, text", [(0.123456, "0.1235"), (None, "-"), (7, "7"), ("a|b", "a\\|b")]
)
def test_shown(value, text):
    assert shown(value) == text
