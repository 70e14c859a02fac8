"""Exported towers: as programs of torch for every mode and size, and as ONNX files where onnx is.

Conversion to ONNX needs the extra ``onnx``, which the test environment need not have; what it
starts from, torch's exported program with open axes, is run here in any case.
"""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.apis import onnx_export
from react_mm.apis.onnx_modules import ImageEmbedder, TextEmbedder, resize_matrix
from tests.dense_towers import gated_tower
from tests.inference_toys import CLASSIFIER, write_gated_delta
from tests.tiny import build, write_architecture, write_weights

MODES = ("vanilla", "maskclip", "sclip", "naclip", "clearclip")


@pytest.fixture
def onnx():
    """The package, or a skip that the list of allowed ones names."""
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError:
        pytest.skip("needs the extra onnx")


def program(module, example):
    """What the exporter starts from, with the axes that the exporter leaves open."""
    axes = onnx_export._open_axes(module)
    return torch.export.export(module, (example,), dynamic_shapes=(axes,), strict=False).module()


@pytest.mark.parametrize(("source", "target"), [(14, 7), (14, 20), (4, 9), (7, 7), (14, 33)])
def test_resize_matrix_is_antialiased_bicubic(source, target):
    x = torch.randn(1, 1, source, 5)
    expected = F.interpolate(
        x, size=(target, 5), mode="bicubic", antialias=True, align_corners=False
    )
    matrix = resize_matrix(source, torch.arange(target, dtype=torch.float32))
    torch.testing.assert_close(matrix @ x[0, 0], expected[0, 0], atol=2e-6, rtol=0)


@pytest.mark.parametrize("mode", [*MODES, "local"])
def test_fixed_size_and_open_batch(tmp_path, mode):
    tower = gated_tower(tmp_path, "plain", dense_mode=mode)
    module = ImageEmbedder(tower, (80, 50)).eval()  # 50 is no multiple of the stride
    pooled, dense = program(module, torch.randn(2, 3, 80, 50))(images := torch.randn(3, 3, 80, 50))
    expected = tower.forward_all(images)
    torch.testing.assert_close(pooled, expected["pooled"], atol=1e-5, rtol=0)
    torch.testing.assert_close(dense, expected["dense"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_open_size(tmp_path, mode):
    tower = gated_tower(tmp_path, "plain", dense_mode=mode)
    exported = program(ImageEmbedder(tower, None).eval(), torch.randn(2, 3, 64, 64))
    for shape in ((3, 3, 64, 64), (1, 3, 48, 96), (2, 3, 128, 32)):
        images = torch.randn(shape)
        expected = tower.forward_all(images)
        pooled, dense = exported(images)
        torch.testing.assert_close(pooled, expected["pooled"], atol=1e-5, rtol=0)
        torch.testing.assert_close(dense, expected["dense"], atol=1e-5, rtol=0)


def test_windows_at_a_fixed_size(tmp_path):
    tower = gated_tower(tmp_path, "plain", window_size=2, global_blocks=(3,))
    module = ImageEmbedder(tower, (96, 64)).eval()
    images = torch.randn(3, 3, 96, 64)
    pooled, dense = program(module, torch.randn(2, 3, 96, 64))(images)
    expected = tower.forward_all(images)
    torch.testing.assert_close(pooled, expected["pooled"], atol=1e-5, rtol=0)
    torch.testing.assert_close(dense, expected["dense"], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="window_size=2"):
        ImageEmbedder(tower, None)


def test_the_tower_itself_is_left_alone(tmp_path):
    tower = gated_tower(tmp_path, "plain")
    kind, images = type(tower), torch.randn(2, 3, 64, 64)
    before = tower.forward_all(images)["dense"]
    ImageEmbedder(tower, None)
    assert type(tower) is kind
    assert torch.equal(tower.forward_all(images)["dense"], before)


def test_text_tower(tmp_path):
    arch = write_architecture(tmp_path)
    model = build((arch, write_weights(arch, tmp_path / "base.safetensors")))
    module = TextEmbedder(model.text_tower).eval()
    texts = ["a red cat", "the sea", "two dogs by a boat"]
    tokens = model.text_tower.tokenize(texts)
    found = program(module, tokens[:2])(tokens)
    torch.testing.assert_close(found, model.encode_text(texts), atol=1e-5, rtol=0)


def test_what_is_not_exported_is_named(tmp_path):
    with pytest.raises(ValueError, match="dense_mode='local'"):
        ImageEmbedder(gated_tower(tmp_path, "plain", dense_mode="local"), None)
    with pytest.raises(ValueError, match="Linear is not exported"):
        TextEmbedder(torch.nn.Linear(1, 1))


def test_wrong_numbers_are_refused(tmp_path, monkeypatch):
    module = ImageEmbedder(gated_tower(tmp_path, "plain"), (64, 64)).eval()

    def session(off):
        def run(images):
            with torch.no_grad():
                return [value.numpy() + off for value in module(torch.from_numpy(images))]

        return lambda path: ("a runtime", run)

    inputs = [(torch.randn(2, 3, 64, 64),), (torch.randn(3, 3, 64, 64),)]
    monkeypatch.setattr(onnx_export, "_session", session(0.0))
    found = onnx_export.check_file("x.onnx", module, inputs)
    assert found["pooled_embedding"]["max_difference"] == 0
    monkeypatch.setattr(onnx_export, "_session", session(0.1))
    with pytest.raises(ValueError, match="pooled_embedding differs from torch by 0.1"):
        onnx_export.check_file("x.onnx", module, inputs)
    monkeypatch.setattr(onnx_export, "_session", session(np.nan))
    with pytest.raises(ValueError, match="differs from torch by nan"):
        onnx_export.check_file("x.onnx", module, inputs)


def test_without_the_extra_it_says_which(repository, tmp_path):
    """The command, in a process that cannot import onnx, installed or not."""
    code = (
        "import sys; sys.modules['onnx'] = None; sys.argv = sys.argv[1:]\n"
        "import runpy; runpy.run_path('tools/export_onnx.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "export_onnx.py", CLASSIFIER, "--out", tmp_path / "o"]
    done = subprocess.run(list(map(str, command)), cwd=repository, capture_output=True, text=True)
    assert done.returncode == 1
    assert "extra 'onnx'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("open_size", [False, True], ids=["native", "open"])
def test_files_and_card(onnx, tmp_path, open_size):
    from react_mm.apis.inference_model import load_inference_model, tower_of

    delta = write_gated_delta(tmp_path / "customized.safetensors")
    model = load_inference_model(CLASSIFIER, delta=delta).model
    text = None if open_size else model.text_tower
    card = onnx_export.export_towers(tower_of(model), text, tmp_path / "o", open_size=open_size)
    assert json.loads((tmp_path / "o" / "card.json").read_text()) == card
    assert card["image"]["size"] == ("open" if open_size else [64, 64])
    assert card["image"]["checked"]["dense_embedding"]["max_difference"] < 1e-3
    module = ImageEmbedder(tower_of(model), None if open_size else (64, 64)).eval()
    size = (96, 48) if open_size else (64, 64)
    reference = importlib.import_module("onnx.reference").ReferenceEvaluator
    evaluator = reference(str(tmp_path / "o" / "image.onnx"))
    images = torch.randn(1, 3, *size)
    found = evaluator.run(None, {"images": images.numpy()})
    with torch.no_grad():
        for ours, theirs in zip(module(images), found, strict=True):
            np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-3)
