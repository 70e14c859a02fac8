"""Predictions for an image or a folder as JSON and drawn, one model or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from react_mm.apis.inference_folder import read_results
from react_mm.apis.inference_inputs import files_in
from react_mm.apis.inference_results import decode_mask
from react_mm.apis.inferencer import Inferencer, label_map
from react_mm.manifest import atomic_path
from react_mm.reporting.pictures import (
    draw_classes,
    draw_objects,
    draw_regions,
    fit,
    side_by_side,
)

DRAWN = "drawn"
AT_MOST = 30  # objects drawn on one picture


def visualize(
    images: str | Path,
    out: str | Path,
    arms: Mapping[str, Callable[[], Inferencer]],
    score_thr: float = 0.3,
    batch_size: int = 8,
    progress: bool = True,
) -> dict[str, Any]:
    """Predicts with one model or with several, and draws what they say.

    The results of each arm lie as :meth:`Inferencer.run` writes them, in ``out`` itself, or with
    several arms in ``out/ARM``; the pictures in ``out/drawn``, under the images' names.

    Args:
        images: An image file or a folder.
        out: Output folder.
        arms: Title to what builds its inferencer; all are built before the first image.
        score_thr: Objects with lower scores are not drawn; they are in the JSON files.
        batch_size: Images at once.
        progress: Whether to show bars.

    Returns:
        Per arm the counts of its run, and ``drawn``: the number of pictures.
    """
    out, inputs = Path(out), files_in(images)
    counts: dict[str, Any] = {}
    found: dict[str, dict[str, dict]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for title, inferencer in {title: build() for title, build in arms.items()}.items():
        folder = out if len(arms) == 1 else out / title
        counts[title] = inferencer.run(images, folder, batch_size=batch_size, progress=progress)
        found[title] = {result["image"]: result for result in read_results(folder)}
        names[title] = inferencer.model.vocabulary.names
    counts[DRAWN] = 0
    for entry in tqdm(inputs, unit="image", desc="draw", disable=not progress):
        if any(entry.name not in results for results in found.values()):
            continue  # in the ledger
        picture, _ = entry.read()
        drawn = {
            title: draw(picture, found[title][entry.name], names[title], folder, score_thr)
            for title, folder in ((t, out if len(arms) == 1 else out / t) for t in arms)
        }
        sheet = next(iter(drawn.values())) if len(drawn) == 1 else side_by_side(drawn)
        with atomic_path(out / DRAWN / f"{entry.name}.png") as temporary:
            sheet.save(temporary)
        counts[DRAWN] += 1
    return counts


def draw(
    picture: Image.Image,
    result: Mapping[str, Any],
    names: tuple[str, ...],
    folder: str | Path | None = None,
    score_thr: float = 0.3,
) -> Image.Image:
    """Draws a result of :class:`Inferencer` over its picture.

    Args:
        picture: RGB.
        result: Of a call or of a folder run.
        names: The classes.
        folder: Output folder of the run, where label maps lie.
        score_thr: Objects with lower scores are not drawn.
    """
    if "classes" in result:
        return draw_classes(picture, result["classes"])
    if "regions" in result:
        return draw_regions(picture, label_map(result, folder), names, result["regions"])
    if "objects" not in result:
        return fit(picture)
    objects = [o for o in result["objects"] if o["score"] >= score_thr][:AT_MOST]
    masks = None
    if objects and "mask" in objects[0]:
        masks = [decode_mask(o["mask"], picture.height, picture.width) for o in objects]
    return draw_objects(picture, objects, masks, len(names))
