"""Class embeddings on disk: made once, never those of other weights, damage named and repaired."""

import logging

import pytest
import safetensors.torch
import torch
from mmengine.logging import MMLogger

from react_mm.models.class_embedding_cache import ClassEmbeddingCache, tower_hash
from react_mm.models.open_vocabulary import ClassEmbedder
from react_mm.prompts import Vocabulary

ARCH = "counting"


class Tower(torch.nn.Module):
    """A text tower that counts what it is asked."""

    arch = ARCH

    def __init__(self, seed=0, dim=6):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = torch.nn.Parameter(torch.randn(256, dim, generator=generator))
        self.asked = []

    def encode_text(self, texts):
        self.asked += texts
        return torch.stack([self.table[list(t.encode())].sum(0) for t in texts])


def embed(folder, names, tower=None, templates="region"):
    tower = tower or Tower()
    embedder = ClassEmbedder(tower, templates, cache_dir=folder)
    return embedder(Vocabulary.of(names))[0], tower


def test_a_second_start_does_not_run_the_tower(tmp_path):
    first, tower = embed(tmp_path / "new" / "cache", ["cat", "dog"])
    assert len(tower.asked) == 4  # two templates
    again, tower = embed(tmp_path / "new" / "cache", ["dog", "cat"])
    assert tower.asked == []
    assert torch.equal(again, first.flip(0))
    more, tower = embed(tmp_path / "new" / "cache", ["dog", "bee"])
    assert tower.asked == ["bee.", "a photo of a bee."]
    assert torch.equal(more[0], first[1])
    assert embed(tmp_path / "new" / "cache", ["bee", "cat", "dog"])[1].asked == []
    plain = ClassEmbedder(Tower(), "region")(Vocabulary.of(["dog", "bee"]))[0]
    torch.testing.assert_close(more, plain)


def test_other_weights_architecture_or_templates_are_embedded_anew(tmp_path):
    first, _ = embed(tmp_path, ["cat"])
    other, tower = embed(tmp_path, ["cat"], Tower(seed=1))
    assert tower.asked and not torch.allclose(first, other)
    renamed = Tower()
    renamed.arch = "another"
    assert embed(tmp_path, ["cat"], renamed)[1].asked
    assert embed(tmp_path, ["cat"], templates="name")[1].asked == ["cat"]
    assert embed(tmp_path, ["cat"])[1].asked == []
    assert tower_hash(Tower()) == tower_hash(Tower()) != tower_hash(Tower(seed=1))


def file_of(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def damage(path, how):
    if how == "flipped byte":
        data = bytearray(path.read_bytes())
        data[-1] ^= 64
        path.write_bytes(data)
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "no safetensors":
        path.write_text("what is this")
    else:
        from react_mm.checkpoints import content_hash, save_state

        rows = safetensors.torch.load_file(path)
        if how == "a row of another dimension":
            rows = {k: v[: 3 + i] for i, (k, v) in enumerate(rows.items())}
        facts = dict(format="react_mm.class_embeddings.v1", content_hash=content_hash(rows))
        facts["tower"] = "another" if how == "another tower's" else tower_hash(Tower())
        save_state(path, rows, facts)


@pytest.mark.parametrize(
    "how",
    [
        "flipped byte",
        "cut short",
        "no safetensors",
        "a row of another dimension",
        "another tower's",
    ],
)
def test_a_damaged_file_is_named_and_made_again(tmp_path, how):
    first, _ = embed(tmp_path, ["cat", "dog"])
    path = file_of(tmp_path)
    damage(path, how)
    logger = MMLogger.get_instance("cache_test")
    logger.setLevel(logging.INFO)
    said = []
    logger.addFilter(lambda record: said.append(record.getMessage()) or True)
    again, tower = embed(tmp_path, ["cat", "dog"])
    assert tower.asked and torch.equal(again, first)
    assert any(str(path) in text and "made again" in text for text in said)
    assert embed(tmp_path, ["cat", "dog"])[1].asked == []


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    embeddings, tower = embed(tmp_path / "file" / "cache", ["cat"])
    assert embeddings.shape == (1, 6) and tower.asked


def test_keys_depend_on_the_texts():
    key = ClassEmbeddingCache.key
    assert key("cat", ["a cat"]) != key("cat", ["the cat"])
    assert key("cat", ["a", "b"]) != key("cat", ["a b"])
