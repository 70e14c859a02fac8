import os
import pickle

import mmengine.runner.checkpoint as mm_checkpoint
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from react_mm.engine.safe_loading import (
    UnsafeCheckpointError,
    install_safe_loading,
    safe_torch_load,
)


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(mm_checkpoint, "_safe_torch_load", mm_checkpoint._safe_torch_load)
    monkeypatch.setattr(mm_checkpoint, "load_url", mm_checkpoint.load_url)
    install_safe_loading()


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def attacks(marker):
    command = f"touch {marker}"
    return {
        "system": Evil(os.system, (command,)),
        "eval": Evil(eval, (f"open({str(marker)!r}, 'w')",)),
        "getattr": Evil(getattr, (os.system, "__call__")),
        "buffer attribute": Evil(getattr, (HistoryBuffer, "update")),
    }


@pytest.mark.parametrize("name", ["system", "eval", "getattr", "buffer attribute"])
def test_code_in_a_checkpoint_never_runs(tmp_path, name):
    marker = tmp_path / "executed"
    content = {"state_dict": {"w": torch.ones(1)}, "meta": attacks(marker)[name]}
    torch.save(content, tmp_path / "zip.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(content))
    for file in ("zip.pth", "plain.pkl"):
        with pytest.raises(UnsafeCheckpointError, match=r"Nothing in it was executed"):
            CheckpointLoader.load_checkpoint(str(tmp_path / file), "cpu")
    assert not marker.exists()


def test_what_mmengine_saves_loads(tmp_path):
    buffer = HistoryBuffer([0.5], [1])
    buffer.update(1.5)
    content = {
        "state_dict": {"w": torch.arange(3.0)},
        "message_hub": {"log_scalars": {"loss": buffer}, "seed": np.int64(3), "f": np.float64(0.5)},
        "meta": {"epoch": 1, "classes": ("a", "b"), "array": np.arange(4, dtype=np.uint8)},
    }
    torch.save(content, tmp_path / "a.pth")
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"), "cpu")
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(3.0))
    assert loaded["message_hub"]["log_scalars"]["loss"].mean() == 1.0
    assert loaded["meta"]["array"].tolist() == [0, 1, 2, 3]


def test_safetensors_and_damage(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "a.safetensors"), "cpu")
    assert torch.equal(loaded["state_dict"]["w"], torch.ones(2))
    torch.save({"w": torch.ones(1000)}, tmp_path / "b.pth")
    content = (tmp_path / "b.pth").read_bytes()
    (tmp_path / "b.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnsafeCheckpointError, match=r"b\.pth"):
        safe_torch_load(tmp_path / "b.pth")
    with pytest.raises(FileNotFoundError):
        safe_torch_load(tmp_path / "none.pth")
