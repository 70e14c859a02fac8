"""Concept lists and templates."""

import pytest

from react_mm.prompts import Vocabulary, read_concepts, render, resolve_templates


def test_concept_file_with_synonyms_and_comments(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# fruit\napple; Apfel ; pomme\n\nред лук\npear;\n", encoding="utf-8")
    vocabulary = read_concepts(path)
    assert vocabulary.names == ("apple", "ред лук", "pear")
    assert vocabulary.all_names("apple") == ("apple", "Apfel", "pomme")
    assert vocabulary.all_names("pear") == ("pear",)


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("apple\nApple \n", "'Apple' stands twice"),
        ("; pomme\n", "row 1: no name"),
    ],
)
def test_bad_concept_lists_are_refused_with_the_file(tmp_path, text, message):
    path = tmp_path / "names.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"names\.txt.*{message}"):
        read_concepts(path)


def test_missing_and_non_utf8_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_concepts(tmp_path / "nowhere.txt")
    (tmp_path / "latin.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        read_concepts(tmp_path / "latin.txt")


def test_synonyms_of_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no concepts"):
        Vocabulary(("cat",), {"dog": ("hound",)})


def test_templates_by_set_file_or_text(tmp_path):
    assert resolve_templates("photo") == ("a photo of a {}.",)
    assert resolve_templates("my {} here") == ("my {} here",)
    (tmp_path / "t.txt").write_text("one {}\n\ntwo {}\n")
    assert resolve_templates(str(tmp_path / "t.txt")) == ("one {}", "two {}")
    for bad, message in (("phto", "did you mean photo"), ([], "empty"), (["no slot"], "exactly")):
        with pytest.raises(ValueError, match=message):
            resolve_templates(bad)


def test_names_read_as_a_caption_would_write_them():
    assert render("a photo of a {}.", "traffic_light") == "a photo of a traffic light."
    assert render("a photo of a {}.", "orange") == "a photo of an orange."
    assert render("the {}", "orange") == "the orange"
