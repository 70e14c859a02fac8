"""The benchmark of customization on a tiny tower, and its arithmetic."""

import ast

import numpy as np
import pytest

from react_mm.benchmarks import plain_open_clip, training_worker
from react_mm.benchmarks.customization import BenchmarkSettings, Measured, measure, rows_of
from react_mm.benchmarks.training_candidates import CANDIDATES, available
from react_mm.models.customization import METHODS
from tests.tiny import write_architecture


def parts(seconds):
    return {"data": 100.0, "forward": seconds, "backward": 1.0, "optimizer": 0.0}


FACTS = {"trainable_parameters": 3, "optimizer_bytes": 24, "checkpoint_bytes": 12}


def test_ratios_are_taken_per_turn_and_without_the_data():
    steps, beside = [parts(1), parts(3), parts(1)], [parts(3), parts(11), parts(1)]
    result = Measured(steps, beside, {2: 30, 4: 50}, FACTS)
    assert result.speed_ratio() == 2.0  # of 4 / 2, 12 / 4, 2 / 2
    assert result.seconds() == 2.0


@pytest.mark.parametrize(("memory", "largest"), [(100, 9), (99, 8), (50, 4), (9, 0), (1, 0)])
def test_the_largest_batch_follows_the_line_through_the_peaks(memory, largest):
    assert Measured([parts(1)], [parts(1)], {4: 50, 2: 30}, FACTS).largest_batch(memory) == largest


def test_all_methods_and_the_plain_loop_take_part():
    assert {c.method for c in CANDIDATES.values()} == {*METHODS, None} - {"none"}
    assert available()[0] == "full" and "locked-text, cached captions" in available()


def test_the_plain_loop_imports_nothing_of_ours():
    with open(plain_open_clip.__file__) as file:
        tree = ast.parse(file.read())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert "open_clip" in names and not any(name.startswith("react_mm") for name in names)


def test_the_peak_can_be_set_back():
    big = np.ones(80 << 20, np.uint8)
    high = training_worker.highest()
    del big
    if not training_worker.reset_peak():
        assert training_worker.highest() >= high  # then building counts, as documented
        return
    low = training_worker.highest()
    assert high - low > 60 << 20
    assert abs(low - training_worker.resident()) < 20 << 20
    big = np.ones(40 << 20, np.uint8)
    assert training_worker.highest() - low > 30 << 20 and big.any()


@pytest.mark.slow
def test_a_tiny_table(tmp_path):
    arch = write_architecture(tmp_path, vision={"layers": 8})
    names = ["open_clip", "gated-image, cached prefix"]
    settings = BenchmarkSettings(arch, 4, 2, 1.0, names=names)
    measured = measure(settings)
    assert list(measured) == ["full", *names]
    rows = {(r["name"], r["settings"]["method"]): r["value"] for r in rows_of(measured, settings)}
    assert len(rows) == 12 * 3 and all(value > 0 for value in rows.values())
    assert rows["customization.speed_ratio_to_full", "full"] == 1
    assert rows["customization.memory_ratio_to_full", "full"] == 1
    count = "customization.trainable_parameters"
    assert rows[count, "full"] == rows[count, "open_clip"] > rows[count, names[1]]
    state = "customization.optimizer_bytes"
    assert rows[state, "full"] == pytest.approx(8 * rows[count, "full"], rel=0.01)
    assert rows[state, "full"] == pytest.approx(rows[state, "open_clip"], rel=0.01)
    assert rows["customization.checkpoint_bytes", names[1]] == 4 * rows[count, names[1]]


def test_a_worker_that_dies_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)no method ended with 1.*KeyError"):
        training_worker.TrainingProcess("no method", "ViT-B-32", tmp_path, [], "cpu")


def test_a_batch_of_one_is_refused(monkeypatch):
    class Fake:
        def __init__(self, *arguments):
            pass

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *a: None  # noqa: E731

        def ask(self, command, **arguments):
            return 1

    monkeypatch.setattr("react_mm.benchmarks.customization.TrainingProcess", Fake)
    with pytest.raises(ValueError, match="batch of 2 or more"):
        measure(BenchmarkSettings("ViT-B-32", 1, 1, 1.0))
