"""Novel objects in training images as nameless regions that losses ignore.

Without them a detector learns that novel objects are background. A region has an image and a box;
neither name nor category of the object is kept.
"""

from collections.abc import Iterable, Mapping
from typing import Any

FIELD = "ignore_regions"
"""Where an annotation file keeps the regions: a list of ``{"image_id", "bbox"}`` (x, y, w, h)."""

LABEL = -1
"""The label of an ignored region: of no class."""


def novel_regions(
    annotation: Mapping[str, Any], novel: Iterable[str], images: Iterable[Any]
) -> list[dict[str, Any]]:
    """The boxes of novel classes, stripped of all but place.

    Args:
        annotation: A COCO instances file with novel boxes.
        novel: Names of the novel classes.
        images: Ids of the images whose regions are wanted.

    Returns:
        One ``{"image_id", "bbox"}`` per box.
    """
    names, images = set(novel), set(images)
    ids = {c["id"] for c in annotation["categories"] if c["name"] in names}
    return [
        dict(image_id=a["image_id"], bbox=list(a["bbox"]))
        for a in annotation["annotations"]
        if a["category_id"] in ids and a["image_id"] in images
    ]


def ignored_instances(
    regions: Iterable[Mapping[str, Any]], sizes: Mapping[Any, tuple[int, int]]
) -> dict[Any, list[dict[str, Any]]]:
    """Regions as mmdet's instances, by image id.

    Args:
        regions: As :func:`novel_regions` gives them.
        sizes: Height and width of the images, by id; regions of other images are passed over.

    Returns:
        Instances with ``ignore_flag`` 1, label :data:`LABEL`, box x1 y1 x2 y2 in pixels and the
        box as mask; boxes outside the image or under one pixel are left out, as mmdet does.
    """
    out: dict[Any, list[dict[str, Any]]] = {}
    for region in regions:
        if region["image_id"] not in sizes:
            continue
        height, width = sizes[region["image_id"]]
        x, y, w, h = region["bbox"]
        x2, y2 = x + w, y + h
        if w < 1 or h < 1 or min(x2, width) <= max(x, 0) or min(y2, height) <= max(y, 0):
            continue
        instance = dict(
            bbox=[x, y, x2, y2],
            bbox_label=LABEL,
            ignore_flag=1,
            mask=[[x, y, x2, y, x2, y2, x, y2]],
        )
        out.setdefault(region["image_id"], []).append(instance)
    return out
