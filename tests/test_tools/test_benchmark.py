"""tools/benchmark.py as a command."""

import json
import os
import subprocess
import sys

import pytest


def call(repository, *arguments):
    return subprocess.run(
        [sys.executable, str(repository / "tools" / "benchmark.py"), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )


def test_unknown_benchmark_has_near_matches(repository):
    failed = call(repository, "dens")
    assert failed.returncode == 2
    assert "unknown benchmark 'dens'" in failed.stderr
    assert "dense" in failed.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "customization"])
def test_quick_run_writes_rows(repository, tmp_path, name):
    out = tmp_path / "rows.json"
    done = call(repository, name, "--quick", "--out", out)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert len(rows) >= 6
    assert all({"name", "value", "unit", "settings"} == set(row) for row in rows)
    may_be_none = ("dense.peak_memory", "detector.detections")
    assert all(row["value"] > 0 for row in rows if row["name"] not in may_be_none)
