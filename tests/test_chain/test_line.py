"""The chain on a few drawn images: killed, resumed, reused, tampered with."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from react_mm.chain.line import Chain
from react_mm.chain.links import BrokenChainError, links_in
from react_mm.chain.settings import load_settings


def chain(toy_config, options, work_dir, **arguments):
    settings = load_settings(toy_config, options, work_dir)
    return Chain(settings, say=lambda line: None, **arguments)


def without_times(results):
    """What must not depend on when and where a run was made."""
    kept = {k: results[k] for k in ("arms", "choices", "names", "retrieved", "seed")}
    return json.loads(json.dumps(kept))


@pytest.fixture(scope="module")
def finished(small_world, repository, request):
    """A finished run without the second customization."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(small_world)
        options = request.getfixturevalue("module_options")
        line = chain(repository / "configs" / "chain" / "toy.py", options, "work_dirs/finished")
        results = line.run()
    return small_world, options, results, line


@pytest.fixture(scope="module")
def module_options():
    from tests.test_chain.conftest import small_options

    options = small_options.__wrapped__()
    del options["customization"]["dense"]
    options["customization"]["_delete_"] = True
    options["customization"]["customized"]["config"] = (
        "customization/gated-image_toy-vit_toy_recommended.py"
    )
    return options


def test_a_run_gives_every_metric_of_every_arm(finished):
    folder, _, results, _ = finished
    assert set(results["arms"]) == {"base", "customized"}
    for metrics in results["arms"].values():
        assert set(metrics) == {"detection", "synonyms", "gt_box"}
        assert {"ov_coco/novel_ap50", "ov_coco/base_ap50"} <= set(metrics["detection"])
        assert set(metrics["detection"]) == set(metrics["synonyms"])
        assert 0 <= metrics["gt_box"]["gt_box/accuracy_target"] <= 1
    root = folder / "work_dirs" / "finished"
    for name in ("table.md", "bars.png", "chain.png", "results/base.json"):
        assert (root / name).stat().st_size > 0
    assert set(results["choices"]) == {"gate-scale-customized", "score-weights"}
    assert all(c["split"] == "validation" for c in map(read, (root / "choices").glob("*.json")))


def read(path):
    return json.loads(path.read_text())


def test_every_card_names_the_one_before(finished):
    root = finished[0] / "work_dirs" / "finished"
    links = {(k.card, k.source) for k in links_in(root)}
    for pair in [
        ("retrieval/index/manifest.json", "retrieval/embeddings/manifest.json"),
        ("retrieval/hits/manifest.json", "retrieval/index/index.json"),
        ("retrieval/selected/manifest.json", "retrieval/hits/hits.parquet"),
        ("retrieval/retrieved/manifest.json", "retrieval/selected/selected.parquet"),
        ("customize-customized/customized.json", "retrieval/retrieved/manifest.json"),
        ("customize-customized/customized.json", "retrieval/samples/general/manifest.json"),
        ("choices/gate-scale-customized.json", "customize-customized/customized.json"),
        ("train-detector-customized/detector.json", "customize-customized/customized.json"),
        ("train-detector-customized/detector.json", "choices/gate-scale-customized.json"),
        ("choices/score-weights.json", "train-detector-base/detector.json"),
        ("tests/detection-customized.json", "train-detector-customized/detector.json"),
        ("tests/detection-customized.json", "choices/score-weights.json"),
        ("results.json", "tests/gt_box-base.json"),
    ]:
        assert pair in links, pair


def test_a_second_run_reuses_every_stage_and_the_check_passes(finished, monkeypatch, repository):
    folder, options, results, first = finished
    monkeypatch.chdir(folder)
    again = chain(repository / "configs" / "chain" / "toy.py", options, "work_dirs/finished")
    assert again.run() == results
    assert set(again.stages.reused) == set(first.stages.stamps)
    found = again.check()
    assert found["links"] > 15 and found["cards"] >= 8


@pytest.mark.parametrize(
    "name",
    [
        "retrieval/embeddings/manifest.json",
        "retrieval/index/index.json",
        "retrieval/hits/hits.parquet",
        "retrieval/retrieved/manifest.json",
        "customize-customized/customized.json",
        "customize-customized/customized.safetensors",
        "choices/gate-scale-customized.json",
        "train-detector-base/detector.pth",
        "tests/detection-base.json",
    ],
)
def test_a_changed_file_is_refused_by_name(finished, monkeypatch, repository, name):
    folder, options, _, _ = finished
    monkeypatch.chdir(folder)
    path = folder / "work_dirs" / "finished" / name
    whole = path.read_bytes()
    content = whole.replace(b"a", b"b", 1) if name.endswith("json") else whole[:-8] + b"planted!"
    try:
        path.write_bytes(content)
        line = chain(repository / "configs" / "chain" / "toy.py", options, "work_dirs/finished")
        with pytest.raises((BrokenChainError, RuntimeError), match=name.rpartition("/")[2]):
            line.check()
    finally:
        path.write_bytes(whole)


def test_a_run_refuses_a_file_that_its_stage_did_not_write(finished, monkeypatch, repository):
    folder, options, results, _ = finished
    monkeypatch.chdir(folder)
    path = folder / "work_dirs" / "finished" / "customize-customized" / "customized.safetensors"
    whole = path.read_bytes()
    config = repository / "configs" / "chain" / "toy.py"
    path.write_bytes(whole[:-8] + b"planted!")
    with pytest.raises(BrokenChainError, match="customized.safetensors.*--again"):
        chain(config, options, "work_dirs/finished").run()
    again = chain(config, options, "work_dirs/finished", again=["customize-customized"])
    assert without_times(again.run()) == without_times(results)
    assert "customize customized" not in again.stages.reused
    assert path.read_bytes() == whole  # trained once more, to the same bits


@pytest.mark.slow
def test_a_changed_setting_runs_what_follows_and_nothing_before(finished, monkeypatch, repository):
    folder, options, _, _ = finished
    monkeypatch.chdir(folder)
    config = repository / "configs" / "chain" / "toy.py"
    changed = {**options, "score_weights": [[0.0, 1.0]]}
    line = chain(config, changed, "work_dirs/finished")
    line.run()
    ran = set(line.stages.stamps) - set(line.stages.reused)
    arms = ("base", "customized")
    tasks = ("detection", "synonyms", "gt_box")  # every test waits for every choice
    assert ran == {"score weights", *(f"{task} {arm}" for task in tasks for arm in arms)}


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(
    small_world, toy_config, small_options, repository, monkeypatch
):
    monkeypatch.chdir(small_world)
    whole = chain(toy_config, small_options, "work_dirs/whole").run()
    options = small_world / "options.json"
    options.write_text(json.dumps(small_options))
    code = (
        "import react_mm, react_mm.registry, json, sys\n"
        "from react_mm.chain.line import Chain\n"
        "from react_mm.chain.settings import load_settings\n"
        f"options = json.load(open({str(options)!r}))\n"
        f"Chain(load_settings({str(toy_config)!r}, options, 'work_dirs/killed')).run()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    for stage in ("index", "customize-customized", "train-detector-customized"):
        process = subprocess.Popen([sys.executable, "-c", code], env=environment)
        stamp = small_world / "work_dirs" / "killed" / "stages" / f"{stage}.json"
        while not stamp.is_file():
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.02)
        time.sleep(0.3)  # into the next stage
        process.send_signal(signal.SIGKILL)
        process.wait()
    line = chain(toy_config, small_options, "work_dirs/killed")
    assert without_times(line.run()) == without_times(whole)
    assert {"embed", "index", "customize customized"} <= set(line.stages.reused)
    for arm in ("customized", "dense"):
        cards = [
            read(small_world / "work_dirs" / run / f"customize-{arm}" / "customized.json")
            for run in ("whole", "killed")
        ]
        assert cards[0]["delta_hash"] == cards[1]["delta_hash"]
    assert line.check()["links"] > 30
