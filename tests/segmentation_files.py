"""The public segmentation sets, drawn: a few small images in each set's own folder format."""

import numpy as np
from PIL import Image

STUFF = ("images/{part}2017", "annotations/{part}2017")
PARTS = {  # image folder, label folder, image suffix, label suffix, list of names
    "voc": (
        "JPEGImages",
        "SegmentationClass",
        ".jpg",
        ".png",
        "ImageSets/Segmentation/{part}.txt",
    ),
    "context": (
        "JPEGImages",
        "SegmentationClassContext",
        ".jpg",
        ".png",
        "ImageSets/SegmentationContext/{part}.txt",
    ),
    "coco-object": (*STUFF, ".jpg", "_instanceTrainIds.png", None),
    "coco-stuff164k": (*STUFF, ".jpg", "_labelTrainIds.png", None),
    "ade150": ("images/{part}", "annotations/{part}", ".jpg", ".png", None),
    "cityscapes": (
        "leftImg8bit/{part}/aachen",
        "gtFine/{part}/aachen",
        "_leftImg8bit.png",
        "_gtFine_labelTrainIds.png",
        None,
    ),
}
LAYOUT = {  # set: folders as above, number of labels that a map may hold, whether 255 occurs
    "voc20": ("voc", 21),
    "voc21": ("voc", 21),
    "context59": ("context", 60),
    "context60": ("context", 60),
    "coco-object": ("coco-object", 81),
    "coco-stuff164k": ("coco-stuff164k", 171),
    "ade150": ("ade150", 151),
    "cityscapes": ("cityscapes", 19),
}
PART_NAMES = {"ade150": {"train": "training", "val": "validation"}}


def write_set(root, benchmark, part="val", images=1, size=(40, 56), seed=0):
    """Writes drawn images with label maps; returns the label maps as they lie on disk."""
    kind, labels = LAYOUT[benchmark]
    image_dir, map_dir, image_end, map_end, listed = PARTS[kind]
    named = PART_NAMES.get(benchmark, {}).get(part, part)
    rng = np.random.default_rng(seed)
    maps = []
    for number in range(images):
        name = f"{part}_{number:06d}"
        label = rng.integers(0, labels, (4, 4)).astype(np.uint8)
        label[0, 0] = 255
        label[3, 3] = labels - 1  # the last class is always there
        label = np.kron(label, np.ones((size[0] // 4, size[1] // 4), np.uint8))
        picture = rng.integers(0, 256, (*label.shape, 3), dtype=np.uint8)
        for folder, end, pixels in ((image_dir, image_end, picture), (map_dir, map_end, label)):
            path = root / folder.format(part=named) / f"{name}{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        maps.append(label)
        if listed:
            path = root / listed.format(part=part)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write(name + "\n")
    return maps
