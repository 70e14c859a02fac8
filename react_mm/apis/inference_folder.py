"""Predictions for a folder of images: one JSON file per image, resumable, with a ledger."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from react_mm.apis.inference_inputs import Input, files_in
from react_mm.apis.predictor import Predictor
from react_mm.datasets.images import DamagedImageError
from react_mm.manifest import (
    Manifest,
    ManifestError,
    RunLock,
    atomic_path,
    read_json,
    remove_leftovers,
    sha256_bytes,
    write_json,
)

RESULTS, MAPS, LEDGER = "results", "maps", "rejected.json"


def run_folder(
    inferencer: Predictor,
    folder: str | Path,
    out: str | Path,
    batch_size: int = 8,
    progress: bool = True,
) -> dict[str, Any]:
    """Predicts for all image files of a folder and its subfolders.

    An image is left alone when its result file was made from the same bytes by the same model,
    names and settings (``key``). What is written: ``results/NAME.json`` per image (NAME with its
    suffix), ``maps/NAME.png`` for segmentation, ``rejected.json`` (each damaged image with the
    reason) and ``manifest.json`` (what the predictions depend on, and counts).

    Args:
        inferencer: With its vocabulary set.
        folder: Folder of images, or one image file.
        out: Output folder.
        batch_size: Images at once.
        progress: Whether to show a bar.

    Returns:
        ``images``, ``written``, ``kept`` (found done) and ``rejected``: images = written + kept +
        rejected.

    Raises:
        FileNotFoundError, ValueError: If there are no images.
        ManifestError: If another run writes to ``out``.
        DamagedImageError: If not one image could be read.
    """
    inputs, out = files_in(folder), Path(out)
    key = inferencer.key()
    ledger: list[dict[str, str]] = []
    counts = {"images": len(inputs), "written": 0, "kept": 0, "rejected": 0}
    with RunLock(out):
        remove_leftovers(out)
        manifest = Manifest(out, "inference", inferencer.identity(), {"folder": str(folder)})
        manifest.facts = {"key": key}
        manifest.save(complete=False)
        with tqdm(
            total=len(inputs), unit="image", desc=inferencer.task, disable=not progress
        ) as bar:
            left = list(_left(inputs, out, key))
            counts["kept"] = len(inputs) - len(left)
            bar.update(counts["kept"])
            for result in inferencer.predict(left, batch_size):
                if "rejected" in result:
                    ledger.append({"image": result["image"], "reason": result["rejected"]})
                    result_path(out, result["image"]).unlink(missing_ok=True)
                else:
                    _write(out, {**result, "key": key})
                    counts["written"] += 1
                bar.update()
        counts["rejected"] = len(ledger)
        write_json(out / LEDGER, ledger)
        manifest.facts = {"key": key, **counts}
        manifest.save(complete=True)
    if not counts["written"] + counts["kept"]:
        raise DamagedImageError(
            f"none of the {len(inputs)} images of {folder} could be read; the first: "
            f"{ledger[0]['image']}: {ledger[0]['reason']}"
        )
    return counts


def result_path(out: str | Path, name: str) -> Path:
    """Where the result of an image lies."""
    return Path(out) / RESULTS / f"{name}.json"


def read_results(out: str | Path) -> list[dict[str, Any]]:
    """The results of a folder run that belong to its manifest, by image name.

    Raises:
        ManifestError: If there is no run in ``out``.
    """
    key = Manifest.load(out).facts["key"]
    files = sorted((Path(out) / RESULTS).rglob("*.json"))
    return [result for result in map(read_json, files) if result.get("key") == key]


def _left(inputs: list[Input], out: Path, key: str) -> Iterator[Input]:
    """The images that have no result of this key and these bytes."""
    for entry in inputs:
        path = result_path(out, entry.name)
        if not path.is_file():
            yield entry
            continue
        try:
            old = read_json(path)
            same = old.get("key") == key and old["sha256"] == sha256_bytes(entry.bytes())
        except (ManifestError, DamagedImageError, AttributeError, KeyError):
            same = False
        if not same or ("map_file" in old and not (out / old["map_file"]).is_file()):
            yield entry


def _write(out: Path, result: dict[str, Any]) -> None:
    if "map_png" in result:
        data = base64.b64decode(result.pop("map_png"))
        result["map_file"] = f"{MAPS}/{result['image']}.png"
        with atomic_path(out / result["map_file"]) as temporary:
            temporary.write_bytes(data)
    write_json(result_path(out, result["image"]), result)
