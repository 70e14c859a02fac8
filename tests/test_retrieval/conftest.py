"""Makes ``fake_world`` importable for the tests of this folder, and keeps one finished run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_world import HashEncoder, config, write_pool  # noqa: E402

from react_mm.retrieval.pipeline import run  # noqa: E402


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``pool`` and a whole run in ``work``; tests must not change it."""
    root = tmp_path_factory.mktemp("finished")
    write_pool(root / "pool")
    sample = [{"name": "control"}, {"name": "general", "number": 9, "seed": 3}]
    run(config(root / "pool", root / "work", sample=sample), HashEncoder(), progress=False)
    return root
