"""The package as a whole: import cost, layers, sizes, pins, and the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from tests import shape_rules

HEAVY = ("torch", "mmengine", "mmcv", "mmdet", "mmseg", "faiss", "open_clip", "pyarrow")
PROBE = (
    "import sys, time; start = time.perf_counter(); import react_mm; "
    "print(time.perf_counter() - start, *sys.modules)"
)


def write_tree(root: Path, files: dict[str, str]) -> dict[str, shape_rules.Module]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return shape_rules.read_modules(root)


@pytest.fixture(scope="module")
def modules(repository: Path) -> dict[str, shape_rules.Module]:
    return shape_rules.read_modules(repository)


def test_import_is_quick_and_light(repository: Path) -> None:
    command = [sys.executable, "-c", PROBE]
    outputs = [subprocess.check_output(command, cwd=repository, text=True) for _ in range(3)]
    seconds = min(float(output.split()[0]) for output in outputs)
    loaded = set(outputs[0].split()[1:])
    assert "react_mm" in loaded
    assert not loaded & set(HEAVY)
    assert seconds < 2.0


def test_layers_hold(modules: dict[str, shape_rules.Module]) -> None:
    assert shape_rules.layer_violations(modules) == []


def test_no_circles(modules: dict[str, shape_rules.Module]) -> None:
    assert shape_rules.circles(modules) == []


def test_sizes_hold(modules: dict[str, shape_rules.Module]) -> None:
    assert shape_rules.size_violations(modules) == []


def test_documented_and_annotated(modules: dict[str, shape_rules.Module]) -> None:
    documented, annotated = shape_rules.coverage(modules)
    assert documented >= 0.95
    assert annotated >= 0.95


def test_planted_violations_are_seen(tmp_path: Path) -> None:
    long_body = "".join(f"    x = {i}\n" for i in range(90))
    modules = write_tree(
        tmp_path,
        {
            "react_mm/__init__.py": "",
            "react_mm/models/__init__.py": "",
            "react_mm/models/a.py": "def f():\n    from ..retrieval import index\n",
            "react_mm/retrieval/__init__.py": "",
            "react_mm/retrieval/index.py": "import mmengine\nfrom . import search\n",
            "react_mm/retrieval/search.py": "from react_mm.retrieval.index import x\n",
            "react_mm/utils.py": "def g(a):\n" + long_body,
            "tools/train.py": "x = 1\n" * 151,
        },
    )
    assert shape_rules.layer_violations(modules) == [
        "react_mm.models.a imports react_mm.retrieval",
        "react_mm.models.a imports react_mm.retrieval.index",
        "react_mm.retrieval.index imports mmengine",
    ]
    assert shape_rules.circles(modules) == [
        "react_mm.retrieval.index -> react_mm.retrieval.search -> react_mm.retrieval.index"
    ]
    assert len(shape_rules.size_violations(modules)) == 3
    assert shape_rules.coverage(modules) == (0.0, 0.0)


def read_pins(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_requirements_differ_in_faiss_only(repository: Path) -> None:
    cpu = read_pins(repository / "requirements.txt")
    gpu = read_pins(repository / "requirements-gpu.txt")
    assert {name for name in cpu if name not in gpu} == {"faiss-cpu"}
    assert {name for name in gpu if name not in cpu} == {"faiss-gpu"}
    assert all(gpu[name] == pin for name, pin in cpu.items() if name in gpu)


def test_installed_versions_are_the_pinned_ones(repository: Path) -> None:
    pins = read_pins(repository / "requirements.txt")
    assert {name: version(name) for name in pins} == pins


def test_own_configs_are_inherited_by_scope(repository: Path, tmp_path: Path) -> None:
    from mmengine.config import Config

    import react_mm.registry  # noqa: F401  tells mmengine where react_mm:: lies

    shared = sorted((repository / "configs" / "_base_").rglob("*.py"))
    assert shared, "configs/_base_ is empty"
    name = shared[0].relative_to(repository / "configs").as_posix()
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = ['react_mm::{name}']\nplanted = 1\n")
    merged = Config.fromfile(child)
    assert merged.planted == 1
    assert set(Config.fromfile(shared[0])) <= set(merged)


@pytest.mark.slow
def test_wheel_trains_from_elsewhere(repository: Path, tmp_path: Path) -> None:
    dist, target, source = tmp_path / "dist", tmp_path / "site", tmp_path / "source"
    left = (".*", "data", "work_dirs", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(repository, source, ignore=shutil.ignore_patterns(*left))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist)]
    subprocess.check_call([*pip, *build, str(source)], cwd=tmp_path)
    (wheel,) = dist.glob("react_mm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    tracked = [p for top in ("configs", "tools") for p in (repository / top).rglob("*.py")]
    shipped = {f"react_mm/.mim/{p.relative_to(repository).as_posix()}" for p in tracked}
    assert len(shipped) > 5
    assert shipped <= names
    assert "react_mm/.mim/model-index.yml" in names
    assert "react_mm/toy/toy-vit.json" in names
    assert re.search(r"^Requires-Dist: torch==", text, re.M)
    assert not re.search(r"^Requires-Dist: faiss", text, re.M)

    install = ["install", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.check_call([*pip, "--quiet", *install], cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    where = [sys.executable, "-c", "import react_mm; print(react_mm.__file__)"]
    found = subprocess.check_output(where, cwd=tmp_path, env=environment, text=True)
    assert Path(found.strip()).is_relative_to(target)
    tool = target / "react_mm" / ".mim" / "tools" / "train.py"
    config = write_training(tmp_path / "training")
    run = subprocess.run(
        [sys.executable, str(tool), str(config), "--work-dir", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert (tmp_path / "out" / "customized.safetensors").stat().st_size > 0


def write_training(folder: Path) -> Path:
    """One step on four drawn pairs, by a config that inherits from the installed package."""
    folder.mkdir()
    rows = []
    for number in range(4):
        Image.new("RGB", (64, 64), (60 * number, 90, 120)).save(folder / f"{number}.png")
        rows.append({"image": f"{number}.png", "text": f"a picture of colour {number}"})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = f"[dict(path={str(folder)!r}), dict(path={str(folder)!r}, role='general')]"
    config = folder / "config.py"
    config.write_text(
        "_base_ = ['react_mm::customization/gated-image_toy-vit_toy_recommended.py']\n"
        "model = dict(image_tower=dict(pretrained=None), text_tower=dict(pretrained=None))\n"
        "train_dataloader = dict(batch_size=4, sampler=dict(pairs_per_batch=2, "
        f"general_per_batch=2), dataset=dict(sources={sources}))\n"
        "train_cfg = dict(max_iters=1, val_interval=10)\n"
        "val_cfg = val_dataloader = val_evaluator = None\n"
        "test_cfg = test_dataloader = test_evaluator = None\n"
    )
    return config
