"""How the stages hang together on disk: each card names the sha256 of what it was made from.

Retrieval's manifests hold plain hashes (``inputs.embeddings``); the chain's own cards say which
file each hash is of: ``inputs.NAME = {file, sha256}``, the file relative to the chain's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from react_mm.checkpoints import load_delta
from react_mm.manifest import Manifest, ManifestError, read_json, sha256_file, write_json

RETRIEVAL: tuple[tuple[str, str, str], ...] = (
    ("index/manifest.json", "embeddings", "embeddings/manifest.json"),
    ("hits/manifest.json", "index", "index/index.json"),
    ("selected/manifest.json", "hits", "hits/hits.parquet"),
    ("selected/manifest.json", "pairs", "hits/pairs.parquet"),
    ("retrieved/manifest.json", "selected", "selected/selected.parquet"),
    ("retrieved/manifest.json", "rules", "selected/selection.json"),
)
CARDS = (
    "customize-*/customized.json",
    "choices/*.json",
    "train-detector-*/detector.json",
    "tests/*.json",
    "results.json",
)


class BrokenChainError(ManifestError):
    """A stage was not made from the files that lie there now."""


@dataclasses.dataclass(frozen=True)
class Link:
    """One stage's claim about one of its inputs.

    Attributes:
        card: The file that makes the claim, relative to the chain's folder.
        field: Where in it.
        source: The input, likewise.
        recorded: sha256 that the card names.
        found: sha256 of the input now; None when it is not there.
    """

    card: str
    field: str
    source: str
    recorded: str
    found: str | None

    def problem(self) -> str | None:
        """What is wrong with it, or None."""
        if self.found == self.recorded:
            return None
        what = f"{self.source} has the sha256 {str(self.found)[:12]}"
        if self.found is None:
            what = f"{self.source} is missing"
        return f"{self.card}: {self.field} is {self.recorded[:12]}, but {what}"


def inputs_of(folder: Path, sources: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The ``inputs`` of a card.

    Args:
        folder: The chain's folder.
        sources: Input name -> file below the folder.
    """
    root = folder.resolve()
    return {
        name: {"file": path.resolve().relative_to(root).as_posix(), "sha256": sha256_file(path)}
        for name, path in sources.items()
    }


def write_inputs(card: Path, folder: Path, sources: Mapping[str, Path]) -> None:
    """Adds ``inputs`` to a card that exists."""
    write_json(card, {**read_json(card), "inputs": inputs_of(folder, sources)})


def links_in(folder: Path) -> list[Link]:
    """Every claim of every card in the chain's folder, from the pool to the results."""
    found: list[Link] = []
    retrieval = folder / "retrieval"
    rows = list(RETRIEVAL)
    for sample in sorted(retrieval.glob("samples/*/manifest.json")):
        name = sample.relative_to(retrieval).as_posix()
        rows.append((name, "embeddings", "embeddings/manifest.json"))
    for name, field, source in rows:
        if (retrieval / name).is_file():
            recorded = read_json(retrieval / name).get("inputs", {}).get(field)
            place = retrieval / source
            found.append(_link(folder, retrieval / name, field, place, str(recorded)))
    for pattern in CARDS:
        for card in sorted(folder.glob(pattern)):
            for field, entry in read_json(card).get("inputs", {}).items():
                place = folder / entry["file"]
                found.append(_link(folder, card, field, place, entry["sha256"]))
    return found


def _link(folder: Path, card: Path, field: str, source: Path, recorded: str) -> Link:
    now = sha256_file(source) if source.is_file() else None
    names = (path.relative_to(folder).as_posix() for path in (card, source))
    card_name, source_name = names
    return Link(card_name, f"inputs.{field}", source_name, recorded, now)


def check_links(folder: Path, cards: Sequence[str] = ()) -> list[Link]:
    """Refuses a chain in which a card names another input than the one that lies there.

    Args:
        folder: The chain's folder.
        cards: Only claims of cards whose name starts with one of these; all when empty.

    Returns:
        The links that were checked.

    Raises:
        BrokenChainError: Naming each card, its field and the input.
    """
    checked = [k for k in links_in(folder) if not cards or k.card.startswith(tuple(cards))]
    problems = [text for text in (link.problem() for link in checked) if text]
    if problems:
        raise BrokenChainError(
            f"broken chain in {folder}: {'; '.join(problems)}. Put the right file back, or remove "
            "the card and run the chain again"
        )
    return checked


def check_contents(folder: Path, hashes: bool = True) -> int:
    """Checks that each card's own files are those it describes.

    Args:
        folder: The chain's folder.
        hashes: Whether to read large files, not only their sizes.

    Returns:
        How many cards were checked.

    Raises:
        ManifestError, ValueError: Naming the file that is missing or differs.
    """
    manifests = sorted((folder / "retrieval").rglob("manifest.json"))
    for path in manifests:
        Manifest.load(path.parent).verify(hashes=hashes)
    deltas = sorted(folder.glob("customize-*/customized.safetensors"))
    for path in deltas:
        load_delta(path)
    detectors = sorted(folder.glob("train-detector-*/detector.json"))
    for path in detectors:
        weights = path.with_suffix(".pth")
        if not weights.is_file() or sha256_file(weights) != read_json(path)["sha256"]:
            raise BrokenChainError(f"{weights} is not the checkpoint that {path} describes")
    return len(manifests) + len(deltas) + len(detectors)


def check_stamps(folder: Path, again: Sequence[str] = ()) -> None:
    """Refuses files of finished stages that something else has changed since.

    Args:
        folder: The chain's folder.
        again: Stages that will be run again anyway.

    Raises:
        BrokenChainError: Naming the file and the stage.
    """
    passed = {name.replace(" ", "-") for name in again}
    for stamp in sorted((folder / "stages").glob("*.json")):
        content: Any = read_json(stamp)
        if stamp.stem in passed or not isinstance(content, dict):
            continue
        for name, entry in content.get("outputs", {}).items():
            path = folder / name
            if path.is_file() and sha256_file(path) != entry["sha256"]:
                raise BrokenChainError(
                    f"{path} is not what the stage {stamp.stem!r} wrote (sha256 "
                    f"{entry['sha256'][:12]} in {stamp}); put that file back, or run the stage "
                    f"again with --again {stamp.stem}"
                )
