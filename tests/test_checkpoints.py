"""Weights on disk: nothing is executed, nothing of another architecture is loaded."""

import os
import pickle

import open_clip
import pytest
import torch
from torch import nn

from react_mm.checkpoints import content_hash, load_state, save_state, strip_prefixes
from react_mm.models.open_clip_loading import load_open_clip, resolve_weights
from tests.tiny import write_architecture, write_weights


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_a_malicious_pickle_is_not_executed(tmp_path, container):
    path, proof = tmp_path / "bad.pth", tmp_path / "executed"
    if container == "torch":
        torch.save({"state_dict": {"a": Bomb(str(proof))}}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(str(proof))))
    with pytest.raises(ValueError, match=r"bad\.pth cannot be loaded as plain tensors"):
        load_state(path)
    assert not proof.exists()


def test_torchscript_archives_are_refused(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "jit.pt")
    with pytest.raises(ValueError, match="take the safetensors"):
        load_state(tmp_path / "jit.pt")


def test_state_dicts_load_through_wrappers(tmp_path):
    linear = nn.Linear(2, 3)
    wrapped = {f"module.{k}": v for k, v in linear.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "a.pt")
    state = strip_prefixes(load_state(tmp_path / "a.pt"))
    assert set(state) == {"weight", "bias"}
    torch.save({"weights": [1, 2]}, tmp_path / "b.pt")
    with pytest.raises(ValueError, match="no state dict"):
        load_state(tmp_path / "b.pt")
    (tmp_path / "c.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ValueError, match=r"c\.safetensors is not a readable"):
        load_state(tmp_path / "c.safetensors")


def test_content_hash_is_of_the_tensors_not_of_the_file(tmp_path):
    state = {"b": torch.arange(4.0), "a": torch.ones(2, dtype=torch.bfloat16)}
    save_state(tmp_path / "x.safetensors", state)
    torch.save(dict(reversed(state.items())), tmp_path / "x.pt")
    hashes = {content_hash(load_state(tmp_path / f"x.{e}")) for e in ("safetensors", "pt")}
    assert hashes == {content_hash(state)}
    for changed in (
        {**state, "b": torch.arange(4.0) + 1e-6},
        {**state, "b": torch.arange(4.0).reshape(2, 2)},
        {**state, "a": torch.ones(2, dtype=torch.float16)},
        {"c": state["b"], "a": state["a"]},
    ):
        assert content_hash(changed) not in hashes


def test_open_clip_towers_load_by_json_and_local_checkpoint(tmp_path):
    arch = write_architecture(tmp_path)
    weights = write_weights(arch, tmp_path / "w.safetensors")
    model = load_open_clip(arch, checkpoint=weights)
    reference = open_clip.create_model("tiny")  # write_weights made it known to open_clip
    reference.load_state_dict(load_state(weights))
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.encode_image(x), reference.eval().encode_image(x))
    assert not model.training


def test_what_cannot_be_loaded_is_refused_by_name(tmp_path):
    arch = write_architecture(tmp_path)
    deeper = write_architecture(tmp_path, "deeper", vision={"layers": 5})
    weights = write_weights(arch, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"missing: visual\.transformer\.resblocks\.4"):
        load_open_clip(deeper, checkpoint=weights)
    wider = write_architecture(tmp_path, "wider", embed_dim=48)
    with pytest.raises(ValueError, match=r"text_projection \(32, 32\) instead of \(32, 48\)"):
        load_open_clip(wider, checkpoint=weights)
    with pytest.raises(ValueError, match="did you mean ViT-B-16"):
        load_open_clip("ViT-B-61")
    with pytest.raises(ValueError, match="did you mean openai"):
        load_open_clip("ViT-B-16", "openia")
    with pytest.raises(ValueError, match="not both"):
        load_open_clip("ViT-B-16", "openai", "w.safetensors")
    with pytest.raises(FileNotFoundError, match="missing.json"):
        load_open_clip(str(tmp_path / "missing.json"))
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        load_open_clip(arch, checkpoint=str(tmp_path / "none.safetensors"))
    (tmp_path / "broken.json").write_text('{"embed_dim": 3}')
    with pytest.raises(ValueError, match="lacks .'vision_cfg'"):
        load_open_clip(str(tmp_path / "broken.json"))


def test_two_architecture_files_of_one_name_stay_apart(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir(), second.mkdir()
    narrow = load_open_clip(write_architecture(first))
    wide = load_open_clip(write_architecture(second, embed_dim=48))
    assert narrow.visual.proj.shape[1] == 32 and wide.visual.proj.shape[1] == 48


def test_weights_of_quickgelu_definitions_are_refused_by_others():
    for arch in open_clip.list_models():
        own = open_clip.get_model_config(arch).get("quick_gelu", False)
        for tag in open_clip.list_pretrained_tags_by_model(arch):
            if open_clip.get_pretrained_cfg(arch, tag).get("quick_gelu", False) and not own:
                with pytest.raises(ValueError, match=f"use arch='{arch}-quickgelu'"):
                    resolve_weights(arch, tag, None)
                assert resolve_weights(f"{arch}-quickgelu", tag, None) is None
    assert resolve_weights("ViT-B-32", "laion2b_s34b_b79k", None) is None
