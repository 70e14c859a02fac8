"""Links between cards, without running anything."""

import json

import pytest

from react_mm.chain.links import (
    BrokenChainError,
    check_contents,
    check_links,
    check_stamps,
    inputs_of,
    links_in,
    write_inputs,
)
from react_mm.manifest import sha256_file


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def folder(tmp_path):
    """Four retrieval stages, one delta card, one detector card."""
    pool = write(tmp_path / "retrieval/embeddings/manifest.json", {"rows": 3})
    inputs = {"embeddings": sha256_file(pool)}
    write(tmp_path / "retrieval/index/manifest.json", {"inputs": inputs})
    selected = write(tmp_path / "retrieval/selected/selected.parquet", "table")
    rules = write(tmp_path / "retrieval/selected/selection.json", {"rules": []})
    inputs = {"selected": sha256_file(selected), "rules": sha256_file(rules)}
    found = write(tmp_path / "retrieval/retrieved/manifest.json", {"pairs": 2, "inputs": inputs})
    delta = write(tmp_path / "customize-mine/customized.json", {"method": "gated-image"})
    write_inputs(delta, tmp_path, {"retrieved": found})
    weights = tmp_path / "train-detector-mine" / "detector.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    card = {"sha256": sha256_file(weights), "inputs": inputs_of(tmp_path, {"delta": delta})}
    write(weights.with_suffix(".json"), card)
    return tmp_path


def test_links_of_manifests_and_cards(folder):
    links = {k.card: k for k in check_links(folder)}
    assert links["retrieval/index/manifest.json"].source == "retrieval/embeddings/manifest.json"
    assert links["customize-mine/customized.json"].field == "inputs.retrieved"
    assert links["train-detector-mine/detector.json"].source == "customize-mine/customized.json"
    assert json.loads((folder / "customize-mine/customized.json").read_text())["method"]
    assert len(links_in(folder)) == 5


@pytest.mark.parametrize(
    ("changed", "blamed"),
    [
        ("retrieval/embeddings/manifest.json", "retrieval/index/manifest.json"),
        ("retrieval/retrieved/manifest.json", "customize-mine/customized.json"),
        ("customize-mine/customized.json", "train-detector-mine/detector.json"),
    ],
)
def test_a_changed_input_is_refused_by_the_card_and_its_own_name(folder, changed, blamed):
    path = folder / changed
    write(path, {**json.loads(path.read_text()), "planted": 1})
    with pytest.raises(BrokenChainError, match=rf"{blamed}: inputs.*{changed} has the sha256"):
        check_links(folder)
    path.unlink()
    with pytest.raises(BrokenChainError, match=f"{changed} is missing"):
        check_links(folder)


def test_only_the_cards_asked_for_are_checked(folder):
    path = folder / "retrieval/retrieved/manifest.json"
    write(path, {**json.loads(path.read_text()), "pairs": 3})
    assert [k.card for k in check_links(folder, ["retrieval/", "train-"])] == [
        "retrieval/index/manifest.json",
        "retrieval/retrieved/manifest.json",
        "retrieval/retrieved/manifest.json",
        "train-detector-mine/detector.json",
    ]
    with pytest.raises(BrokenChainError):
        check_links(folder, ["customize-mine/"])


def test_a_checkpoint_that_its_card_does_not_describe(folder):
    for name in ("embeddings", "index", "retrieved"):
        (folder / "retrieval" / name / "manifest.json").unlink()
    assert check_contents(folder) == 1
    (folder / "train-detector-mine" / "detector.pth").write_bytes(b"others")
    with pytest.raises(BrokenChainError, match=r"detector\.pth is not the checkpoint"):
        check_contents(folder)


def test_stamped_files_of_others_are_refused_until_the_stage_runs_again(folder):
    weights = folder / "train-detector-mine" / "detector.pth"
    entry = {"bytes": 7, "sha256": sha256_file(weights)}
    name = "train-detector-mine/detector.pth"
    write(folder / "stages" / "train-detector-mine.json", {"outputs": {name: entry}})
    check_stamps(folder)
    weights.write_bytes(b"planted")
    with pytest.raises(BrokenChainError, match=r"detector\.pth.*--again train-detector-mine"):
        check_stamps(folder)
    check_stamps(folder, ["train detector mine"])
    weights.unlink()
    check_stamps(folder)  # what is gone is made again
