"""tools/retrieve.py as a person calls it, and the configs in the repository."""

import subprocess
import sys
from pathlib import Path

import pytest
from fake_world import config

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "retrieval").glob("*.py"))


def _call(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/retrieve.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _write_config(path: Path, values: dict) -> Path:
    path.write_text("\n".join(f"{name} = {value!r}" for name, value in values.items()))
    return path


def test_stages_without_an_encoder_run_from_the_command_line(
    finished: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    subprocess.run(["cp", "-r", finished / "work", work], check=True)
    file = _write_config(tmp_path / "c.py", config(finished / "pool", finished / "work"))
    options = ("--work-dir", work, "--cfg-options", "select.per_concept=2")
    done = _call("select", file, *options)
    assert done.returncode == 0, done.stderr
    assert "select: 4 pairs of 20 hit" in done.stdout
    done = _call("export", file, *options)
    assert done.returncode == 0 and "export:" in done.stdout
    assert "4 image-text pairs" in (work / "retrieved/DATACARD.md").read_text()
    done = _call("hard-pairs", file, *options, "hard_pairs.duplicate=1.0")
    assert done.returncode == 0, done.stderr
    assert "of 4 pairs" in done.stdout and (work / "hard_pairs/hard_pairs.parquet").is_file()


def test_refusals_are_one_line_and_fail(finished: Path, tmp_path: Path) -> None:
    values = config(finished / "pool", tmp_path / "work", search={"kk": 3})
    done = _call("select", _write_config(tmp_path / "c.py", values))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "retrieve.py: the config has the unknown key search.kk" in done.stderr
    done = _call("embed", _write_config(tmp_path / "d.py", {**values, "search": {}}))
    assert done.returncode == 1 and "lacks `encoder`" in done.stderr
    assert _call("select", tmp_path / "none.py").returncode == 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_is_accepted(path: Path) -> None:
    from mmengine.config import Config

    from react_mm.retrieval.settings import parse_settings

    assert path.name in (path.parent / "README.md").read_text()
    settings = parse_settings(Config.fromfile(path).to_dict())
    assert settings.query is not None and settings.pool
