"""The public sets as data: counts against facts.md A1, lists that are sound, templates literal."""

import json

import pytest

from react_mm.classification_sets import (
    class_lines,
    folder_lines,
    read_card,
    set_names,
    template_lines,
)
from react_mm.prompts import LiteralTemplate, read_concepts, render, resolve_templates

# (classes, templates) as counted in the public retrieval code of REACT
COUNTS = {
    "imagenet-1k": (1000, 80),
    "caltech-101": (102, 34),
    "cifar-10": (10, 18),
    "cifar-100": (100, 18),
    "country211": (211, 5),
    "dtd": (47, 8),
    "eurosat": (10, 3),
    "fer-2013": (7, 6),
    "fgvc-aircraft": (100, 2),
    "food-101": (101, 1),
    "gtsrb": (43, 3),
    "hateful-memes": (2, 1),
    "kitti-distance": (4, 1),
    "mnist": (10, 1),
    "oxford-flowers-102": (102, 1),
    "oxford-iiit-pets": (37, 1),
    "patch-camelyon": (2, 1),
    "rendered-sst2": (2, 1),
    "resisc45": (45, 18),
    "stanford-cars": (196, 8),
    "voc-2007-classification": (20, 1),
}


def test_the_sets_are_imagenet_and_elevaters_twenty():
    assert set(set_names()) == set(COUNTS)
    assert sum(read_card(name).elevater for name in set_names()) == 20


@pytest.mark.parametrize("name", COUNTS)
def test_counts_lists_and_card_agree(name):
    card = read_card(name)
    vocabulary = read_concepts(name)  # refuses empty and repeated names
    assert (len(vocabulary), len(template_lines(name))) == COUNTS[name]
    assert (card.classes, card.templates) == COUNTS[name]
    folders = folder_lines(name)
    assert folders is None or len(set(folders)) == card.classes
    assert all("{}" not in line for line in class_lines(name))
    assert card.metric in ("top1", "mean_class", "map11", "roc_auc")
    assert all(count > 0 for count in card.images.values())
    assert len(card.sources) >= 2
    templates = resolve_templates(name)
    assert all(isinstance(t, LiteralTemplate) and t.count("{}") == 1 for t in templates)
    assert len(set(templates)) == len(templates)


def test_metrics_and_sizes_of_the_special_sets():
    assert read_card("voc-2007-classification").metric == "map11"
    assert read_card("voc-2007-classification").multi_label
    assert read_card("hateful-memes").metric == "roc_auc"
    means = {name for name in set_names() if read_card(name).metric == "mean_class"}
    assert means == {"caltech-101", "fgvc-aircraft", "oxford-flowers-102", "oxford-iiit-pets"}
    assert read_card("imagenet-1k").images == {"train": 1281167, "val": 50000}
    assert read_card("stanford-cars").images["test"] == 8041


def test_published_values_are_marked_with_their_source():
    rows = read_card("imagenet-1k").published
    gated = {r["base"]: r["value"] for r in rows if r["method"] == "gated-image, LAION-400M"}
    assert gated["CLIP B/16"] == 73.4 and gated["CLIP B/32"] == 68.6
    assert all(row["source"] for row in rows)


def test_names_and_folders_stand_in_one_order():
    pairs = dict(zip(folder_lines("country211"), class_lines("country211"), strict=True))
    assert (pairs["AD"], pairs["CH"], pairs["KP"], pairs["ZW"]) == (
        "Andorra",
        "Switzerland",
        "North Korea",
        "Zimbabwe",
    )
    pairs = dict(zip(folder_lines("imagenet-1k"), class_lines("imagenet-1k"), strict=True))
    assert pairs["n01440764"] == "tench" and pairs["n15075141"] == "toilet paper"
    pairs = dict(zip(folder_lines("caltech-101"), class_lines("caltech-101"), strict=True))
    assert pairs["Faces_easy"] == "centered face" and pairs["yin_yang"] == "yin and yang symbol"
    pairs = dict(zip(folder_lines("eurosat"), class_lines("eurosat"), strict=True))
    assert pairs["SeaLake"] == "lake or sea" and pairs["Highway"] == "highway or road"


def test_imagenets_two_repeated_names_stay_two_classes_of_one_prompt():
    names = read_concepts("imagenet-1k").names
    twice = [i for i, name in enumerate(names) if name.rstrip("_") in ("missile", "sunglasses")]
    assert len(twice) == 4
    template = resolve_templates("imagenet-1k")[0]
    prompts = [render(template, names[i]) for i in twice]
    assert len(set(prompts)) == 2 and not any("_" in p for p in prompts)


def test_published_templates_are_rendered_literally():
    (pets,) = resolve_templates("oxford-iiit-pets")
    assert render(pets, "Abyssinian") == "a photo of a Abyssinian, a type of pet."
    assert render(resolve_templates("fgvc-aircraft")[0], "F/A-18").startswith("a photo of a F/A-18")
    assert render("a photo of a {}.", "apple") == "a photo of an apple."
    assert json.loads(json.dumps(list(resolve_templates("dtd"))))[0] == "a photo of a {} texture."


def test_the_documents_table_is_that_of_the_cards(repository):
    text = (repository / "docs" / "evaluation.md").read_text()
    words = dict(
        top1="accuracy", mean_class="mean of the classes", map11="11-point mAP", roc_auc="ROC AUC"
    )
    for name in set_names():
        card = read_card(name)
        sizes = [
            f"{card.images[s]:,}" if s in card.images else "-" for s in ("train", "val", "test")
        ]
        row = f"| `{name}` | {card.classes} | {card.templates} | {' / '.join(sizes)} | "
        assert row + words[card.metric] + " |" in text
    for row in read_card("imagenet-1k").published:
        assert any(
            line.startswith(f"| {row['base']} |") and str(row["value"]) in line
            for line in text.splitlines()
        )


def test_the_lists_are_packaged(repository):
    import tomllib

    settings = tomllib.loads((repository / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["react_mm.classification_sets"]
    folder = repository / "react_mm" / "classification_sets"
    packaged = {path for pattern in patterns for path in folder.glob(pattern)}
    assert {p for p in folder.rglob("*") if p.suffix in (".json", ".txt")} <= packaged
    assert len(packaged) > 40


def test_a_set_can_be_what_is_retrieved():
    from react_mm.retrieval.queries import make_queries

    queries = make_queries("dtd", "dtd")
    assert len(queries) == 47 * 8
    assert queries[0].text == "a photo of a banded texture."


def test_unknown_sets_are_refused_with_near_matches():
    with pytest.raises(ValueError, match="did you mean.*cifar-10"):
        read_card("cifar10")
    with pytest.raises(ValueError, match="did you mean dtd"):
        resolve_templates("dtdd")
