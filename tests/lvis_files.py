"""A small federated file in LVIS v1's format, whose answer is known by hand."""

import json

import numpy as np
from PIL import Image

# id, name, frequency; the ids do not ascend. By id: bow_(weapon) dog bee cat
CATEGORIES = [(7, "cat", "f"), (2, "bow_(weapon)", "r"), (5, "bee", "r"), (3, "dog", "c")]
IMAGES = 4
NEGATIVE = {1: [5], 2: [7, 2], 3: [5], 4: []}
"""Classes known to be absent, by image."""
NOT_EXHAUSTIVE = {1: [], 2: [], 3: [], 4: [7]}
"""Classes of which not all objects are annotated, by image."""
BOXES = [
    (1, "cat", 2, 2, 20, 20),
    (1, "dog", 30, 10, 20, 20),
    (2, "dog", 4, 4, 16, 16),
    (3, "cat", 5, 5, 30, 30),
    (3, "bow_(weapon)", 40, 4, 16, 24),
    (4, "cat", 8, 8, 20, 20),
    (4, "bee", 40, 20, 12, 12),
]


def lvis():
    """The annotation: images have ``coco_url`` and no ``file_name``, boxes have polygons."""
    ids = {name: i for i, name, _ in CATEGORIES}
    images = [
        dict(
            id=i,
            height=48,
            width=64,
            coco_url=f"http://images.cocodataset.org/val2017/{i:012d}.jpg",
            neg_category_ids=NEGATIVE[i],
            not_exhaustive_category_ids=NOT_EXHAUSTIVE[i],
        )
        for i in range(1, IMAGES + 1)
    ]
    annotations = [
        dict(
            id=number,
            image_id=image,
            category_id=ids[name],
            bbox=[x, y, w, h],
            area=w * h,
            segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
        )
        for number, (image, name, x, y, w, h) in enumerate(BOXES, 1)
    ]
    categories = [
        dict(id=i, name=name, frequency=frequency, synonyms=[name, f"small_{name}"], image_count=1)
        for i, name, frequency in CATEGORIES
    ]
    return dict(info={}, images=images, annotations=annotations, categories=categories)


def write_lvis(folder, name="lvis.json"):
    """Writes annotation and images; returns the annotation's path."""
    path = folder / name
    path.write_text(json.dumps(lvis()))
    (folder / "val2017").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(1, IMAGES + 1):
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "val2017" / f"{i:012d}.jpg")
    return path
