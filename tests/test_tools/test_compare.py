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
    named = run("--results", "base.json", "mine.json", "--names", "a", "b", "--format", "json")
    assert json.loads(named.stdout) == [{"metric": "zero_shot.target", "a": 0.2, "b": 0.7}]
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


@pytest.fixture
def task(tmp_path, repository):
    """Four drawn digits' worth of mnist, a tiny CLIP, and a customization of it."""
    from react_mm.checkpoints import save_delta
    from tests import tiny
    from tests.pair_shards import png

    arch = tiny.write_architecture(tmp_path)
    weights = tiny.write_weights(arch, tmp_path / "tiny.safetensors")
    for name in map(str, range(10)):
        (tmp_path / "mnist" / "test" / name).mkdir(parents=True)
        (tmp_path / "mnist" / "test" / name / "0.png").write_bytes(png(int(name)))
    tower = f"arch={arch!r}, checkpoint={weights!r}"
    base = repository / "configs" / "zero_shot_classification" / "clip-vit-b16_mnist.py"
    (tmp_path / "task.py").write_text(
        f"_base_ = [{str(base)!r}]\n"
        f"model = dict(image_tower=dict(_delete_=True, type='react_mm.CLIPViT', {tower}),\n"
        f"    text_tower=dict(_delete_=True, type='react_mm.CLIPText', {tower}))\n"
        f"test_dataloader = dict(num_workers=0, dataset=dict(path={str(tmp_path / 'mnist')!r},\n"
        "    pipeline=[dict(type='react_mm.ResizeCenterCrop', size=32)]))\n"
    )
    model = tiny.build((arch, weights), method="gated-image", method_options={"blocks": 2})
    tiny.open_gates(model)
    save_delta(model, tmp_path / "mine.safetensors")
    return tmp_path / "task.py"


def test_models_on_tasks_with_gate_scales_and_a_frontier(run, task, tmp_path):
    arguments = ["--models", "base=none", "mine=mine.safetensors", "--gate-scales", 0, 1]
    arguments += ["--tasks", "a=task.py", "b=task.py", "--frontier", "a", "b"]
    done = run(*arguments, "--draws", 20, "--out", "out")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("testing") == 3  # both tasks are one test, for three models
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert table["models"] == ["base", "mine@0", "mine@1"]
    rows = {(r["task"], r["model"]): r for r in table["rows"]}
    assert rows["a", "mine@0"]["value"] == rows["a", "base"]["value"]
    assert rows["a", "mine@0"]["difference"]["high"] == 0
    assert len({rows["a", m]["cell"] for m in table["models"]}) == 3
    front = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert [(r["model"], r["scale"]) for r in front] == [("base", None), ("mine", 0), ("mine", 1)]
    for name in ("table.md", "table.csv", "bars.png", "frontier.png"):
        assert (tmp_path / "out" / name).stat().st_size > 50


def test_wrong_use_is_one_clear_line(run, task):
    assert "belong together" in run("--models", "a=none").stderr
    failed = run("--models", "a=nothing.safetensors", "--tasks", "task.py", "--out", "out")
    assert failed.stderr.strip() == "compare: model 'a': nothing.safetensors does not exist"
