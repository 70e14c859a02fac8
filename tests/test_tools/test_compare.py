"""tools/compare.py as a command."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def run(repository, tmp_path):
    def call(*arguments):
        return subprocess.run(
            [sys.executable, str(repository / "tools" / "compare.py"), *map(str, arguments)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
        )

    return call


def test_prints_and_writes_tables(run, tmp_path):
    for name, value in (("base", 0.2), ("mine", 0.7)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"zero_shot": {"target": value}}))
    printed = run("base.json", "mine.json")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.splitlines()[2] == "| zero_shot.target | 0.2 | 0.7 |"
    written = run("base.json", "mine.json", "--format", "csv", "--out", "deep/table.csv")
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "deep" / "table.csv").read_text() == (
        "metric,base,mine\nzero_shot.target,0.2,0.7\n"
    )


def test_missing_file_is_one_clear_line(run):
    failed = run("nothing.json")
    assert failed.returncode != 0
    assert failed.stderr.startswith("compare: no result file at nothing.json")
    assert "Traceback" not in failed.stderr
