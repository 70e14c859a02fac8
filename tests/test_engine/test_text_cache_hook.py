from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.engine.text_cache_hook import TextCacheHook, cache_key, is_intact
from tests.tiny import build, write_architecture, write_weights


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    arch = write_architecture(folder)
    return arch, write_weights(arch, folder / "w.safetensors")


CAPTIONS = [f"caption number {i}" for i in range(7)]


def run(model, work_dir, captions=CAPTIONS, **options):
    runner = SimpleNamespace(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(captions=captions)),
        logger=SimpleNamespace(info=lambda text: None),
    )
    TextCacheHook(**options).before_train(runner)


def test_rows_are_the_embeddings_of_the_captions(base, tmp_path):
    model = build(base, method="gated-image", method_options=dict(blocks=2))
    run(model, tmp_path, batch_size=3)
    with torch.no_grad():
        expected = F.normalize(model.encode_text(CAPTIONS).float(), dim=-1)
    assert torch.allclose(model._text_cache, expected, atol=1e-6)
    assert model._text_cache.dtype == torch.float32


def test_computed_once_and_read_from_disk(base, tmp_path, monkeypatch):
    model = build(base, method="gated-image", method_options=dict(blocks=2))
    run(model, tmp_path, cache_dir=str(tmp_path / "c"))
    first = model._text_cache.clone()
    monkeypatch.setattr(model, "encode_text", lambda texts: pytest.fail("embedded again"))
    run(model, tmp_path / "other run", cache_dir=str(tmp_path / "c"))
    assert torch.equal(model._text_cache, first)


def test_a_damaged_cache_is_made_anew(base, tmp_path):
    model = build(base, method="gated-image", method_options=dict(blocks=2))
    run(model, tmp_path)
    first = model._text_cache.clone()
    (path,) = (tmp_path / "text_cache").glob("*.npy")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert not is_intact(path)
    run(model, tmp_path)
    assert is_intact(path)
    assert torch.equal(model._text_cache, first)


def test_key_depends_on_captions_and_weights(base, tmp_path):
    model = build(base, method="gated-image", method_options=dict(blocks=2))
    key = cache_key(model, CAPTIONS)
    assert cache_key(model, CAPTIONS[::-1]) != key
    assert cache_key(model, [*CAPTIONS[:-2], CAPTIONS[-2] + CAPTIONS[-1]]) != key
    with torch.no_grad():
        next(model.text_tower.parameters()).flatten()[0].add_(1e-3)
    assert cache_key(model, CAPTIONS) != key


def test_a_text_tower_in_training_is_left_alone(base, tmp_path):
    model = build(base, method="full")
    run(model, tmp_path)
    assert model._text_cache is None
    assert not (tmp_path / "text_cache").exists()


def test_embeddings_that_are_not_finite_never_enter(base, tmp_path, monkeypatch):
    model = build(base, method="gated-image", method_options=dict(blocks=2))
    monkeypatch.setattr(model, "encode_text", lambda texts: torch.full((len(texts), 32), np.nan))
    with pytest.raises(ValueError, match="no finite embedding for 'caption number 0'"):
        run(model, tmp_path)
    assert not list((tmp_path / "text_cache").glob("*"))
