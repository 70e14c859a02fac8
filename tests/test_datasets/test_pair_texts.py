"""Captions, all captions, or the concept's name as the text of a pair."""

import json
import tarfile
from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from react_mm.datasets import PairDataset
from tests.pair_shards import add, png

PAIRS = [  # caption, all captions, concept
    ("one", ["one", "first", "one"], "cat"),
    ("two", None, "cat"),
    ("three", ["third", ""], "ant"),
    ("", None, "ant"),
    ("five", None, ""),
]


@pytest.fixture
def shard(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for i, (caption, captions, concept) in enumerate(PAIRS):
            add(tar, f"k{i}.png", png(i))
            add(tar, f"k{i}.txt", caption.encode())
            add(tar, f"k{i}.json", json.dumps({"captions": captions, "concept": concept}).encode())
    return [dict(path=str(tmp_path / "p.tar"))]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "f").mkdir()
    with open(tmp_path / "f" / "pairs.jsonl", "w") as file:
        for i, (caption, captions, concept) in enumerate(PAIRS):
            (tmp_path / "f" / f"k{i}.png").write_bytes(png(i))
            row = {"image": f"k{i}.png", "text": caption, "all": captions, "label": concept}
            file.write(json.dumps(row) + "\n")
    return [dict(path=str(tmp_path / "f"), captions="all", concept="label")]


def drawn(dataset, epochs=40):
    """Texts that each pair gets over the epochs, and whether ids and texts agree."""
    texts, found = dataset.captions, []
    for index in range(len(dataset)):
        items = [dataset[(epoch, index)] for epoch in range(epochs)]
        assert all(texts[item["caption_id"]] == item["caption"] for item in items)
        found.append({item["caption"] for item in items})
    return found


@pytest.mark.parametrize("source", ["shard", "folder"])
def test_kinds_of_text(request, source):
    sources = request.getfixturevalue(source)
    plain = PairDataset(sources)
    assert drawn(plain, 2) == [{"one"}, {"two"}, {"three"}, {"five"}]
    assert plain.ledger == {"caption missing or empty": 1}
    assert plain.concepts == ["cat", "ant"]
    assert [plain[i]["concept_id"] for i in range(4)] == [0, 0, 1, -1]

    every = PairDataset(sources, text="captions")
    assert drawn(every) == [{"one", "first"}, {"two"}, {"third"}, {"five"}]
    assert sorted(every.captions) == ["first", "five", "one", "third", "two"]

    named = PairDataset(sources, text="concept", templates=["a {}", "the {}."])
    assert drawn(named) == [{"a cat", "the cat."}] * 2 + [{"an ant", "the ant."}] * 2
    assert sorted(named.captions) == ["a cat", "an ant", "the ant.", "the cat."]
    assert named.ledger == {"no concept": 1}

    both = PairDataset(sources, text=["captions", "concept"], templates=["a {}"])
    assert drawn(both) == [{"one", "first", "a cat"}, {"two", "a cat"}] + [
        {"third", "an ant"},
        {"an ant"},
        {"five"},
    ]


def test_the_choice_depends_on_seed_epoch_and_pair_alone(shard):
    options = dict(text="concept", templates="simple")
    one, two = PairDataset(shard, **options), PairDataset(shard, **options, seed=1)
    positions = [(epoch, index) for epoch in range(30) for index in range(4)]
    alone = [one[p]["caption_id"] for p in positions]
    loader = DataLoader(one, batch_size=4, sampler=positions, num_workers=2)
    batches = [batch["caption_id"] for batch in loader]
    assert torch.cat(batches).tolist() == alone
    assert [two[p]["caption_id"] for p in positions] != alone
    assert len({tuple(alone[i : i + 4]) for i in range(0, 120, 4)}) > 10
    counts = Counter(alone[0::4])  # the first pair: five templates, about evenly
    assert len(counts) == 5 and max(counts.values()) < 16


def test_the_text_does_not_change_the_augmentation(shard):
    pipeline = [dict(type="react_mm.RandomResizedCrop", size=8)]
    plain = PairDataset(shard, pipeline)
    named = PairDataset(shard, pipeline, text=["caption", "concept"], templates="simple")
    assert torch.equal(plain[(3, 1)]["inputs"], named[(3, 1)]["inputs"])


def test_general_images_have_no_text_and_no_concept(shard):
    general = PairDataset([{**shard[0], "role": "general"}, shard[0]], text="concept")
    assert len(general) == 5 + 4
    item = general[0]
    assert (item["caption"], item["caption_id"], item["concept_id"]) == ("", -1, -1)


def test_wrong_kinds_and_absent_concepts_are_refused(shard):
    with pytest.raises(ValueError, match="did you mean caption"):
        PairDataset(shard, text="captionz")
    with pytest.raises(ValueError, match="no pair has a concept"):
        PairDataset([{**shard[0], "concept": "klass"}], text="concept")
    with pytest.raises(ValueError, match="unknown template set"):
        PairDataset(shard, text="concept", templates="fotos")
