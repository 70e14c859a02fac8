"""The class lists against mmseg's and mmdet's own, and the splits."""

import pytest
from mmdet.datasets import CocoDataset

import react_mm  # noqa: F401
from react_mm.prompts import read_concepts
from react_mm.segmentation_sets import SPLITS, class_file, set_names, unseen_classes

COUNTS = {
    "voc20": 20,
    "voc21": 21,
    "context59": 59,
    "context60": 60,
    "coco-object": 81,
    "coco-stuff164k": 171,
    "ade150": 150,
    "cityscapes": 19,
}


@pytest.mark.parametrize("name", list(COUNTS))
def test_lists_have_their_classes_and_no_word_twice(name):
    vocabulary = read_concepts(class_file(name))
    assert len(vocabulary) == COUNTS[name]
    words = [word for own in vocabulary.names for word in vocabulary.all_names(own)]
    twice = {word for word in words if words.count(word) > 1}
    assert not twice
    assert all(word == word.strip().lower() for word in words)


def test_nothing_is_forgotten():
    assert set(set_names()) == set(COUNTS)
    assert read_concepts(class_file("coco-object")).names[1:] == CocoDataset.METAINFO["classes"]
    with_background = read_concepts(class_file("voc21")).names
    assert with_background == ("background", *read_concepts(class_file("voc20")).names)
    with_background = read_concepts(class_file("context60")).names
    assert with_background == ("background", *read_concepts(class_file("context59")).names)


def test_splits_are_of_their_sets():
    counts = {"voc-15-5": 5, "context-49-10": 10, "stuff-156-15": 15}
    assert {name: len(set(unseen)) for name, (_, unseen) in SPLITS.items()} == counts
    for name, (owner, unseen) in SPLITS.items():
        assert set(unseen) <= set(read_concepts(class_file(owner)).names)
        assert unseen_classes(name, owner) == unseen
    with pytest.raises(ValueError, match="voc-15-5.*is of voc20, not of ade150"):
        unseen_classes("voc-15-5", "ade150")
    with pytest.raises(ValueError, match="did you mean voc-15-5"):
        unseen_classes("voc-15", "voc20")
    with pytest.raises(ValueError, match="did you mean ade150"):
        class_file("ade-150")
