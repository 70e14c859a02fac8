"""The demo as a command, shortened: every stage runs, the files are whole, a rerun reuses all."""

import json
import os
import subprocess
import sys

import pytest

from react_mm.reporting.results import check_demo_results
from react_mm.toy import methods


def demo(repository, folder, *arguments):
    done = subprocess.run(
        [sys.executable, str(repository / "tools" / "demo.py"), "--short", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_short_demo_and_its_rerun(repository, tmp_path):
    first = demo(repository, tmp_path)
    folder = tmp_path / "work_dirs" / "demo"
    results = json.loads((folder / "results.json").read_text())
    check_demo_results(results)
    assert results["retrieved"]["pairs"] > 0
    assert [row["scale"] for row in results["gate_curve"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert results["gate_curve"][0]["split"] == "val"
    assert set(results["seconds"]) >= {"world", "embed", "index", "customize after", "gt-box after"}
    page = (folder / "report.html").read_text()
    assert page.count("<img") > 30
    assert "0 of " in first
    again = demo(repository, tmp_path)
    stages = len(results["seconds"])
    assert f"{stages} of {stages} stages were finished before" in again
    assert json.loads((folder / "results.json").read_text()) == results
    methods_on_the_finished_demo(tmp_path)


def methods_on_the_finished_demo(folder):
    """Two rows that are trained and turned down differently."""
    names = ("locked-text + teacher", "gated-image + teacher + hard pairs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "ROWS", {name: methods.ROWS[name] for name in names})
        found = methods.run_methods(folder, seed=0, short=True)
    assert list(found["rows"]) == list(names)
    for name in names:
        row = found["rows"][name]
        assert [point["scale"] for point in row["curve"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert row["curve"][0] == found["rows"][names[0]]["curve"][0]  # the base
        assert 0 <= row["zero_shot.target"] <= 1 and "miou.other" in row
        assert (
            folder / methods.FOLDER / name.replace(" ", "-") / "customized.safetensors"
        ).is_file()
    moved = folder / methods.FOLDER / names[0].replace(" ", "-") / "interpolated-0.5.safetensors"
    assert moved.is_file()
