"""tools/convert_checkpoint.py as a user calls it: there and back, and what it refuses."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from react_mm.checkpoints import load_state, save_state
from tests import official_release as release

TOOL = Path(__file__).parents[2] / "tools" / "convert_checkpoint.py"


@pytest.fixture
def convert(monkeypatch):
    """The tool's main with arguments."""
    spec = importlib.util.spec_from_file_location("convert_checkpoint", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        module.main()

    return call


@pytest.fixture
def released(tmp_path):
    arch = release.write_architecture(tmp_path, 32)
    plain = release.plain_state(arch)
    save_state(tmp_path / "base.safetensors", plain)
    state = plain | release.gates(32)
    return arch, state, release.save_as_trainer(state, tmp_path / "react.pt")


def test_there_and_back(convert, released, tmp_path, capsys):
    arch, state, source = released
    delta, back = tmp_path / "delta.safetensors", tmp_path / "back.pt"
    convert(source, delta, "--to", "delta", "--arch", arch, "--base", tmp_path / "base.safetensors")
    assert "method: gated-image" in capsys.readouterr().out
    convert(delta, back, "--to", "official")  # the card names architecture and base
    assert f"written: {back}" in capsys.readouterr().out
    returned = load_state(back)
    assert set(returned) == set(state)
    assert all(torch.equal(v, state[k]) for k, v in returned.items())


def test_refusals_end_with_one_line(convert, released, tmp_path):
    arch, _, source = released
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match="--arch: name the architecture"):
        convert(source, out, "--to", "delta")
    with pytest.raises(SystemExit, match="OUT is the source itself"):
        convert(source, source, "--to", "delta", "--arch", arch)
    with pytest.raises(SystemExit, match="plain open_clip has no place for"):
        convert(source, out, "--to", "open-clip")
    with pytest.raises(SystemExit, match=r"\[0, 1\]"):
        convert(source, out, "--to", "official", "--gate-scale", "2")
    with pytest.raises(SystemExit, match="did you mean ViT-B-32"):
        convert(source, out, "--to", "delta", "--arch", "ViT-B-23")
    with pytest.raises(SystemExit, match="does not exist"):
        convert(tmp_path / "none.pt", out, "--to", "delta", "--arch", arch)
    assert not out.exists()
