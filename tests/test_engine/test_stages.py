"""A stage runs once for the same settings, inputs and whole outputs, and again otherwise."""

import json
import os
from concurrent.futures import Future

import pytest

from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job, Stages


class Line:
    """Two stages; the second takes the first's file."""

    def __init__(self, folder, **options):
        self.folder, self.ran, self.options = folder, [], options

    def go(self, first=1, second=2):
        stages = Stages(self.folder, say=lambda line: None, **self.options)
        self.ran = []
        out = self.folder / "a.txt"

        def write():
            self.ran.append("a")
            out.write_text(f"value {first}")
            return {"first": first}

        def read():
            self.ran.append("b")
            return {"seen": out.read_text(), "second": second}

        stages.run("a", write, {"first": first}, outputs=[out])
        result = stages.run("b", read, {"second": second}, after=["a"])
        return result, stages


@pytest.fixture
def line(tmp_path):
    return Line(tmp_path)


def test_second_run_reuses_everything(line):
    first, stages = line.go()
    assert line.ran == ["a", "b"]
    assert stages.reused == []
    again, stages = line.go()
    assert line.ran == []
    assert stages.reused == ["a", "b"]
    assert again == first == {"seen": "value 1", "second": 2}
    assert set(stages.seconds) == {"a", "b"}


def test_changed_settings_run_the_stage_and_what_follows(line):
    line.go()
    line.go(second=3)
    assert line.ran == ["b"]
    line.go(first=5, second=3)
    assert line.ran == ["a", "b"]


@pytest.mark.parametrize("damage", ["remove", "same size", "shorter"])
def test_damaged_output_is_made_again(line, damage):
    line.go()
    out = line.folder / "a.txt"
    if damage == "remove":
        out.unlink()
    else:
        out.write_text("VALUE 1" if damage == "same size" else "v")
    result, _ = line.go()
    assert line.ran[0] == "a"
    assert result["seen"] == "value 1"


def test_damaged_stamp_is_made_again(line):
    line.go()
    stamp = line.folder / "stages" / "b.json"
    stamp.write_text(stamp.read_text()[:40])
    line.go()
    assert line.ran == ["b"]


def test_failed_stage_leaves_no_stamp(tmp_path):
    stages = Stages(tmp_path, say=lambda line: None)

    def fail():
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        stages.run("x", fail, {})
    assert not (tmp_path / "stages" / "x.json").exists()
    with pytest.raises(FileNotFoundError, match="did not write"):
        stages.run("x", dict, {}, outputs=[tmp_path / "never"])
    assert not (tmp_path / "stages" / "x.json").exists()


def test_again_runs_a_finished_stage(tmp_path):
    Line(tmp_path).go()
    line = Line(tmp_path, again=["a"])
    line.go()
    assert line.ran == ["a"]  # same result, so that b keeps its inputs


def test_stamp_holds_no_more_than_json(tmp_path):
    stages = Stages(tmp_path, say=lambda line: None)
    result = stages.run("x", lambda: {"t": (1, 2)}, {"path": tmp_path})
    assert result == {"t": [1, 2]}
    assert json.loads((tmp_path / "stages" / "x.json").read_text())["result"] == result


def test_stage_runs_again_when_it_is_no_longer_whole(tmp_path):
    runs = []
    for there in (True, True, False):
        stages = Stages(tmp_path, say=lambda line: None)
        stages.run("x", lambda: {"run": runs.append(1)}, {}, whole=lambda there=there: there)
    assert len(runs) == 2


class Here:
    """Lanes of one: a job runs when it is submitted."""

    def __init__(self):
        self.submitted = []

    def submit(self, function, *arguments):
        self.submitted.append(arguments)
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def write_number(path, number):
    if number < 0:
        raise ValueError("planted")
    path.write_text(str(number))
    return {"number": number}


def jobs_for(folder, numbers):
    return [
        Job(name, write_number, (folder / name, n), {"n": n}, outputs=[folder / name])
        for name, n in numbers.items()
    ]


def beside(folder, numbers):
    stages, lanes = Stages(folder, say=lambda line: None), Here()
    return stages.run_beside(jobs_for(folder, numbers), lanes), stages, lanes


def test_jobs_side_by_side_are_stamped_one_by_one(tmp_path):
    results, stages, lanes = beside(tmp_path, {"a": 1, "b": 2})
    assert results == {"a": {"number": 1}, "b": {"number": 2}}
    assert stages.reused == []
    results, stages, lanes = beside(tmp_path, {"a": 1, "b": 3})
    assert results == {"a": {"number": 1}, "b": {"number": 3}}
    assert stages.reused == ["a"]
    assert [arguments[1:] for arguments in lanes.submitted] == [(tmp_path / "b", 3)]
    (tmp_path / "a").unlink()
    _, stages, _ = beside(tmp_path, {"a": 1, "b": 3})
    assert stages.reused == ["b"]


def test_failed_job_is_raised_and_not_stamped(tmp_path):
    with pytest.raises(ValueError, match="planted"):
        beside(tmp_path, {"bad": -1})
    assert not (tmp_path / "stages" / "bad.json").exists()


def test_lanes_are_other_processes_with_one_thread_each(tmp_path):
    lanes = Lanes()
    try:
        futures = [lanes.submit(os.getenv, "OMP_NUM_THREADS"), lanes.submit(os.getpid)]
        threads, process = (future.result() for future in futures)
    finally:
        lanes.close()
    assert threads == "1"
    assert process != os.getpid()
