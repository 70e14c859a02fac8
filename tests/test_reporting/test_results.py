"""Result files: dotted keys, nesting and what a demo's result must hold."""

import json

import pytest

from react_mm.reporting.results import check_demo_results, flatten, nest, read_results
from tests.test_reporting.fake_run import fake_results


def test_flatten_and_nest_are_inverse():
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": "x"}
    assert flatten(nested) == {"a.b.c": 1, "a.d": [1, 2], "e": "x"}
    assert nest(flatten(nested)) == nested


@pytest.mark.parametrize("flat", [{"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}])
def test_nest_refuses_a_key_that_is_value_and_group(flat):
    with pytest.raises(ValueError, match="'a"):
        nest(flat)


def test_complete_results_pass():
    check_demo_results(fake_results())


@pytest.mark.parametrize("arm", ["before", "after", "plain", "control"])
def test_missing_arm_is_named(arm):
    results = fake_results()
    del results[arm]
    with pytest.raises(ValueError, match=arm):
        check_demo_results(results)


@pytest.mark.parametrize("value", [None, "0.5", 71.0, -0.1, float("nan")])
def test_value_that_is_no_fraction_is_named(value):
    results = fake_results()
    results["plain"]["miou"]["target"] = value
    with pytest.raises(ValueError, match=r"plain\.miou\.target"):
        check_demo_results(results)


@pytest.mark.parametrize("text, message", [("{", "not JSON"), ("[1]", "expected an object")])
def test_unreadable_file_is_refused(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no result file"):
        read_results(tmp_path / "none.json")
    (tmp_path / "some.json").write_text(json.dumps({"a": 1}))
    assert read_results(tmp_path / "some.json") == {"a": 1}
