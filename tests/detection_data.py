"""Drawn detection sets in COCO and LVIS format, and what reduces a detector's config to them.

Only paths, sizes, iterations and widths are changed.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from react_mm.datasets.base_novel import OV_COCO_BASE, OV_COCO_NOVEL, base_only
from tests.lvis_files import write_lvis

ROOT = Path(__file__).resolve().parents[1]
DETECTION = ROOT / "configs" / "detection"
COLOURS = [(220, 40, 40), (40, 200, 60), (50, 60, 230), (230, 210, 40), (200, 60, 220)]


def draw(folder, images, names, size=(72, 96), objects=2, seed=0):
    """Writes images of rectangles and returns a COCO annotation of all ``names``."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = size
    found = []
    for image in range(1, images + 1):
        pixels = rng.integers(90, 130, (height, width, 3)).astype(np.uint8)
        for number in range(objects):
            name = (image * objects + number) % min(len(names), len(COLOURS))
            w, h = rng.integers(34, 44), rng.integers(34, 60)
            x, y = number * width // objects + rng.integers(0, 4), rng.integers(0, height - h)
            pixels[y : y + h, x : x + w] = COLOURS[name]
            x, y, w, h = (int(v) for v in (x, y, w, h))
            found.append(
                dict(
                    id=len(found) + 1,
                    image_id=image,
                    category_id=name + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                )
            )
        Image.fromarray(pixels).save(folder / f"{image}.png")
    return dict(
        images=[
            dict(id=i, file_name=f"{i}.png", height=height, width=width)
            for i in range(1, images + 1)
        ],
        annotations=found,
        categories=[dict(id=i, name=name) for i, name in enumerate(names, 1)],
    )


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_ov_coco(root, train=2, test=1):
    """OV-COCO's layout with 48 and 65 classes."""
    # The first five are drawn: four base classes, one novel.
    names = [*OV_COCO_BASE[:4], OV_COCO_NOVEL[0], *OV_COCO_BASE[4:], *OV_COCO_NOVEL[1:]]
    whole = draw(root / "train2017", train, names)
    write_json(
        root / "annotations/instances_train2017_base.json", base_only(whole, OV_COCO_BASE)[0]
    )
    val = draw(root / "val2017", test, names, seed=1)
    write_json(root / "annotations/instances_val2017_base-novel.json", val)


def write_toy(root, train=2, test=1, size=(72, 96)):
    """The drawn world's layout with 4 base classes and a novel one."""
    names = ["ant", "bee", "cow", "dog", "eel"]
    whole = draw(root / "scenes/train", train, names, size)
    write_json(root / "scenes/annotations/instances_train.json", whole)
    base = base_only(whole, names[:4])[0]
    write_json(root / "scenes/annotations/instances_train_base.json", base)
    for part, seed in (("val", 1), ("test", 2)):
        annotation = draw(root / "scenes" / part, test, names, size, seed=seed)
        write_json(root / f"scenes/annotations/instances_{part}.json", annotation)
    (root / "target.txt").write_text("eel\n")


def write_ov_lvis(root):
    """A federated file with two base and two rare classes; returns training and test file."""
    val = write_lvis(root)
    whole = json.loads(val.read_text())
    base = [c["name"] for c in whole["categories"] if c["frequency"] != "r"]
    write_json(root / "train_base.json", base_only(whole, base)[0])
    return "train_base.json", val.name


TEXT = dict(context_length=16, vocab_size=49408, width=16, heads=2, layers=1)


def write_tower(folder, kind):
    """A narrow architecture of a config's depth; returns its path and what follows from it."""
    vision = dict(
        vit=dict(image_size=64, layers=12, width=32, head_width=16, patch_size=16),
        large=dict(image_size=56, layers=24, width=32, head_width=16, patch_size=14),
        resnet=dict(image_size=64, layers=[1, 1, 1, 1], width=4),
    )[kind]
    path = folder / f"narrow-{kind}.json"
    write_json(path, dict(embed_dim=16, vision_cfg=vision, text_cfg=TEXT))
    return str(path), [16, 32, 64, 128] if kind == "resnet" else 32


def loader_options(part, batch):
    keys = dict(num_workers=0, persistent_workers=False, batch_size=batch)
    return {f"{part}_dataloader.{key}": value for key, value in keys.items()}


def reduced(stem, folder, batch=2):
    """Options for a config of ``configs/detection``; its data are written to ``folder``."""
    options = {"model.class_embedder.cache_dir": str(folder / "cache")}
    for part, size in (("train", batch), ("val", 1), ("test", 1)):
        options |= loader_options(part, size)
    head = "model.bbox_head" if stem.startswith("atss") else "model.roi_head.bbox_head"
    if not stem.startswith("atss"):
        options |= {
            "model.test_cfg.rpn.max_per_img": 20,
            "model.train_cfg.rpn_proposal.max_per_img": 50,
        }
    if stem.endswith("_toy"):
        write_toy(folder)
        paths = {"data_root": str(folder) + "/"}
        return options | paths | {"train_cfg.max_iters": 1, "train_cfg.val_interval": 1}
    kind = "resnet" if "rn50" in stem else "large" if "l14" in stem else "vit"
    arch, channels = write_tower(folder, kind)
    for tower in ("model.backbone", "model.class_embedder.text_tower"):
        options |= {f"{tower}.arch": arch, f"{tower}.pretrained": None}
    options |= {"model.neck.in_channels": channels, f"{head}.embed_dim": 16}
    options |= {"train_cfg.max_epochs": 1}
    data = "train_dataloader.dataset"
    if stem.endswith("ov-lvis"):
        data += ".dataset"
        train, val = write_ov_lvis(folder)
        files = dict(train=train, val=val, test=val)
        prefix = {f"{d}_dataloader.dataset.data_prefix.img": "" for d in ("val", "test")}
        options |= prefix | {f"{data}.data_prefix.img": ""}
    else:
        write_ov_coco(folder)
        val = "annotations/instances_val2017_base-novel.json"
        files = dict(train="annotations/instances_train2017_base.json", val=val, test=val)
    for part in ("train", "val", "test"):
        where = data if part == "train" else f"{part}_dataloader.dataset"
        options |= {f"{where}.data_root": str(folder), f"{where}.ann_file": files[part]}
        options |= {f"{where}.pipeline.{2 if part == 'train' else 1}.scale": (96, 96)}
        if part != "train":
            options |= {f"{part}_evaluator.ann_file": str(folder / files[part])}
    return options
