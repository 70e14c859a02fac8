"""A tiny base for the tests of models: architecture file and weights file."""

import pytest

from tests.tiny import write_architecture, write_weights


@pytest.fixture
def base(tmp_path):
    """Architecture and checkpoint of a tiny CLIP."""
    arch = write_architecture(tmp_path)
    return arch, write_weights(arch, tmp_path / "base.safetensors")
