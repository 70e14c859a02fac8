"""The demo's retrieval stages, and how right they were: the drawn world knows what it drew."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from mmengine.config import Config

from react_mm.engine.stages import Result, Stages
from react_mm.retrieval.pipeline import STAGES, run

DATA = Path("data/toy")


class Retrieval:
    """Runs the shipped retrieval config in the demo's folder.

    Args:
        config: The config file.
        folder: Output folder, instead of the config's.
    """

    def __init__(self, config: Path, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = Config.fromfile(str(config)).to_dict()
        self.settings["work_dir"] = str(folder)
        self._encoder: Any = None

    @property
    def encoder(self) -> Any:
        """The base as encoder, built when a stage first needs it."""
        if self._encoder is None:
            from react_mm.apis.encoder import build_encoder

            self._encoder = build_encoder(self.settings["encoder"])
        return self._encoder

    def run_all(self, stages: Stages, after: tuple[str, ...]) -> None:
        """Runs embed, index, query, select, export and sample, each as a stage of the demo."""
        for name in STAGES:
            stages.run(
                name,
                lambda name=name: self._run(name),
                self.settings,
                after=after,
                whole=lambda name=name: self.is_there(name),
            )
            after = (name,)

    def _run(self, name: str) -> Result:
        result = run(self.settings, self.encoder, [name])
        return result[name]

    def is_there(self, name: str) -> bool:
        """Whether a stage's folder still has its manifest (the stages verify the files)."""
        folders = {"embed": "embeddings", "query": "hits", "select": "selected"}
        folder = {"export": "retrieved", "sample": "samples"} | folders
        place = self.folder / folder.get(name, name)
        return any(place.rglob("manifest.json"))

    @property
    def retrieved(self) -> Path:
        """The retrieved set."""
        return self.folder / "retrieved"

    def sample(self, name: str) -> Path:
        """A random sample of the pool."""
        return self.folder / "samples" / name

    def rows(self) -> list[dict[str, Any]]:
        """The retrieved pairs, a dict each."""
        return pq.read_table(self.retrieved / "pairs.parquet").to_pylist()


def drawn_concepts(pool: Path) -> dict[str, set[str]]:
    """What each picture of the pool shows, by key.

    Args:
        pool: Folder of the drawn world's pool shards.
    """
    shown = {}
    for shard in sorted(pool.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    row = json.load(tar.extractfile(member))
                    shown[row["key"]] = {thing["concept"] for thing in row["objects"]}
    return shown


def precision(
    rows: list[dict[str, Any]], shown: dict[str, set[str]], family: set[str]
) -> dict[str, float]:
    """How many retrieved pictures show what they were retrieved for.

    Args:
        rows: Retrieved pairs with ``source_key`` and ``concept``.
        shown: As from :func:`drawn_concepts`.
        family: The target family.

    Returns:
        ``pairs``; ``precision``, the fraction that shows the concept it was retrieved for;
        ``family_precision``, the fraction that shows any concept of the family.

    Raises:
        ValueError: When nothing was retrieved.
    """
    if not rows:
        raise ValueError("nothing was retrieved")
    right = [row["concept"] in shown[row["source_key"]] for row in rows]
    near = [bool(family & shown[row["source_key"]]) for row in rows]
    return {
        "pairs": len(rows),
        "precision": sum(right) / len(rows),
        "family_precision": sum(near) / len(rows),
    }


def gallery(
    rows: list[dict[str, Any]],
    shown: dict[str, set[str]],
    folder: Path,
    out: Path,
    best: int = 5,
    last: int = 3,
) -> list[dict[str, Any]]:
    """The best- and the last-ranked pairs of each concept, pictures copied out of the shards.

    Args:
        rows: Retrieved pairs.
        shown: As from :func:`drawn_concepts`.
        folder: The retrieved set with its shards.
        out: Folder for the pictures.
        best: How many of the first pairs a concept gets.
        last: How many of the last ones.

    Returns:
        Rows as the report's ``gallery`` wants them; pictures relative to ``out``'s parent.
    """
    out.mkdir(parents=True, exist_ok=True)
    by_concept: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: -row["standard_score"]):
        by_concept.setdefault(row["concept"], []).append(row)
    return [
        {
            "concept": concept,
            "found": len(found),
            "items": [
                {
                    "image": _copy_picture(folder, row, out),
                    "caption": row["caption"],
                    "score": row["best_score"],
                    "mode": row["modes"],
                    "right": concept in shown[row["source_key"]],
                }
                for row in found[:best] + found[best:][-last:]
            ],
        }
        for concept, found in sorted(by_concept.items())
    ]


def _copy_picture(folder: Path, row: dict[str, Any], out: Path) -> str:
    """Copies one picture out of its shard; returns its path relative to ``out``'s parent."""
    target = out / f"{row['key']}.jpg"
    with tarfile.open(folder / row["shard"]) as tar:
        target.write_bytes(tar.extractfile(f"{row['key']}.jpg").read())
    return f"{out.name}/{target.name}"
