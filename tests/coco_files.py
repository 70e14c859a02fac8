"""Small COCO files whose category ids do not ascend."""

import json

import numpy as np
from PIL import Image

CATEGORIES = [
    (7, "dog"),
    (3, "cat"),
    (11, "bee"),
    (5, "wasp"),
]  # file order; by id: cat wasp dog bee
NOVEL = ("bee", "wasp")


def coco(boxes):
    """An annotation of 64 x 48 images.

    Args:
        boxes: Per image, a list of (name, x, y, w, h).
    """
    ids = {name: i for i, name in CATEGORIES}
    annotations = [
        dict(
            id=0,
            image_id=image + 1,
            category_id=ids[name],
            bbox=[x, y, w, h],
            area=w * h,
            iscrowd=0,
            segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
        )
        for image, own in enumerate(boxes)
        for name, x, y, w, h in own
    ]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    return dict(
        images=[
            dict(id=i + 1, file_name=f"{i}.png", height=48, width=64) for i in range(len(boxes))
        ],
        annotations=annotations,
        categories=[dict(id=i, name=name) for i, name in CATEGORIES],
    )


def write_coco(folder, boxes):
    """Writes annotation and images; returns the annotation's path."""
    path = folder / "instances.json"
    path.write_text(json.dumps(coco(boxes)))
    (folder / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(len(boxes)):
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
    return path


def random_boxes(images=12, each=4, seed=0):
    """Boxes of all classes, apart from each other."""
    rng = np.random.default_rng(seed)
    names = [name for _, name in CATEGORIES]
    corners = [(2, 2), (34, 2), (2, 26), (34, 26)]
    return [
        [
            (names[int(rng.integers(4))], x, y, int(rng.integers(8, 28)), int(rng.integers(8, 20)))
            for x, y in corners[:each]
        ]
        for _ in range(images)
    ]
