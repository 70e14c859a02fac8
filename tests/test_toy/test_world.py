"""Names, families and counts of the drawn world."""

import subprocess
import sys

import pytest

from react_mm.toy import world


def test_there_are_enough_concepts_in_label_order():
    names = world.concept_names()
    assert len(names) >= 40
    assert len(set(names)) == len(names)
    assert names == world.other_names() + world.target_names()  # the target family comes last


def test_words_are_unambiguous():
    words = [w for c in world.CONCEPTS for w in c.words]
    assert len(set(words)) == len(words)
    assert sum(bool(c.synonyms) for c in world.CONCEPTS) >= 40


def test_families():
    assert len(world.FAMILIES) >= 7
    assert {world.family_of(n) for n in world.target_names()} == {world.TARGET_FAMILY}
    assert len(world.target_names()) == 6
    with pytest.raises(KeyError, match="unicorn"):
        world.family_of("unicorn")


def test_every_concept_can_be_drawn():
    from react_mm.toy.shapes import SHAPES

    assert set(SHAPES) == set(world.concept_names())


def test_names_are_read_without_torch():
    code = 'import sys, react_mm.toy.world; assert not {"torch", "cv2"} & set(sys.modules)'
    subprocess.run([sys.executable, "-c", code], check=True)
