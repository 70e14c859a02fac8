"""The detection study: numbers over seeds by hand, and the command on a run that is there."""

import json
import math
import os
import subprocess
import sys

import pytest

from react_mm.toy.detection_study import ARMS, METRICS, markdown, summarise, values_of


def arms(value):
    """Results of a chain in which an arm's metrics are ``value`` times 1, 2 or 3."""
    found = {}
    for factor, arm in enumerate(ARMS, 1):
        found[arm] = {}
        for test, metric in METRICS.values():
            found[arm].setdefault(test, {})[metric] = value * factor
    return found


def test_mean_deviation_interval_and_paired_differences():
    per_seed = {str(s): values_of(arms(v)) for s, v in enumerate([0.1, 0.2, 0.3])}
    rows = {(r["row"], r["metric"]): r for r in summarise(per_seed)}
    assert len(rows) == (3 + 3) * len(METRICS)
    base = rows["plain (base CLIP)", "AP50 novel"]
    assert base["mean"] == pytest.approx(0.2) and base["sd"] == pytest.approx(0.1)
    # Student's t(.975, 2) = 4.3027
    assert base["half"] == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-5)
    gain = rows["customized + dense - customized (paired)", "AP50 novel"]
    assert gain["values"] == pytest.approx([0.1, 0.2, 0.3])
    text = markdown(summarise(per_seed)).splitlines()
    assert text[0] == "| | " + " | ".join(METRICS) + " |"
    assert text[3].startswith("| customized | 40.0 ± 49.7 (20.0) |")
    assert text[-1].startswith("Seeds 0, 1, 2; per cent")


def test_one_seed_has_no_interval():
    (row, *_) = summarise({"0": values_of(arms(0.1))})
    assert row["half"] is None and row["sd"] is None
    assert "| 10.0 |" in markdown(summarise({"0": values_of(arms(0.1))}))


def test_a_missing_metric_is_named():
    found = arms(0.1)
    del found["dense"]["synonyms"]
    with pytest.raises(KeyError, match="novel_ap50 of synonyms for the arm dense"):
        values_of(found)


def test_the_command_says_what_it_lacks(repository, tmp_path):
    done = subprocess.run(
        [sys.executable, str(repository / "tools/reproduce_detection.py"), "photos"]
        + ["--models", "base=none", "mine=nothing.safetensors"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("reproduce_detection: model 'mine': nothing.safetensors does not")
    assert not (tmp_path / "work_dirs" / "detection").exists()


def test_a_seed_is_a_chain_of_its_own_folder(tmp_path, monkeypatch):
    from react_mm.toy import detection_study

    calls = []

    def fake(command, cwd, check, env):
        calls.append((command, cwd))
        place = cwd / detection_study.CHAIN / "results.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"arms": arms(0.2)}))

    monkeypatch.setattr(detection_study.subprocess, "run", fake)
    values = detection_study.run_seed(tmp_path / "seed-3", 3, ["lanes=1"])
    assert values["dense"]["AP50 all"] == pytest.approx(0.6)
    ((command, cwd),) = calls
    assert cwd == tmp_path / "seed-3" and command[1].endswith("tools/chain.py")
    assert command[2].endswith("configs/chain/toy.py")
    assert command[-3:] == ["--cfg-options", "seed=3", "lanes=1"]
