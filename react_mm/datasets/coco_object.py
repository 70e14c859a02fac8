"""Label maps of COCO-Object from COCO's instance files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from react_mm.datasets.base_novel import read_coco
from react_mm.manifest import atomic_path

SUFFIX = "_instanceTrainIds.png"
CROWD = 255


def convert_coco_object(annotation: str | Path, out: str | Path, progress: bool = True) -> int:
    """Writes a label map per image: 0 background, i + 1 the i-th category in order of the ids.

    Where masks overlap the smaller object stands in front; crowds are ignored (255) where no
    object stands. Maps that are there already are kept.

    Args:
        annotation: COCO's ``instances_*.json``.
        out: Folder to write to.
        progress: Whether to show a bar.

    Returns:
        The number of maps written.

    Raises:
        FileNotFoundError, ValueError: If the file does not exist or is no COCO instances file, or
            has more than 254 categories.
    """
    content = read_coco(annotation)
    ids = sorted(category["id"] for category in content["categories"])
    if len(ids) > CROWD - 1:
        raise ValueError(f"{annotation}: {len(ids)} categories do not fit a map of 8 bits")
    labels = {number: row for row, number in enumerate(ids, 1)}
    members: dict[int, list[dict]] = {}
    for entry in content["annotations"]:
        members.setdefault(entry["image_id"], []).append(entry)
    out, written = Path(out), 0
    out.mkdir(parents=True, exist_ok=True)
    for image in tqdm(content["images"], unit="map", disable=not progress):
        path = out / f"{Path(image['file_name']).stem}{SUFFIX}"
        if path.is_file():
            continue
        drawn = draw_objects(members.get(image["id"], []), labels, image["height"], image["width"])
        with atomic_path(path) as temporary:
            Image.fromarray(drawn).save(temporary, "PNG")
        written += 1
    return written


def draw_objects(
    entries: Sequence[Mapping[str, Any]], labels: Mapping[int, int], height: int, width: int
) -> np.ndarray:
    """The label map of one image, uint8 (height, width).

    Args:
        entries: Its annotations with ``segmentation`` (polygons or RLE), ``area``, ``iscrowd``.
        labels: Label per category id.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    from pycocotools import mask as coco_mask

    drawn = np.zeros((height, width), np.uint8)
    order = sorted(entries, key=lambda e: (not e.get("iscrowd", 0), -e["area"]))
    for entry in order:
        shape = entry["segmentation"]
        if isinstance(shape, list):
            code = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
        elif isinstance(shape["counts"], list):
            code = coco_mask.frPyObjects(shape, height, width)
        else:
            code = shape
        value = CROWD if entry.get("iscrowd") else labels[entry["category_id"]]
        drawn[coco_mask.decode(code).astype(bool)] = value
    return drawn
