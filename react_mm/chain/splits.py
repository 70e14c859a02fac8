"""The validation split: the config's own, or training images that are held back.

No choice may see the test split, so a chain whose two splits are one file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from react_mm.chain.settings import HoldOut
from react_mm.datasets.base_novel import base_only, read_coco, read_names, split_classes
from react_mm.manifest import write_json

TRAIN, VALIDATION = "train_base.json", "validation.json"


def hold_out(annotation: Path, novel: str | Sequence[str] | None, rule: HoldOut, out: Path) -> dict:
    """Writes a base-only training file and a validation file that share no image.

    Args:
        annotation: COCO file of the training images with all classes.
        novel: Novel classes, as ``OpenVocabularyCocoDataset`` takes them.
        rule: How many images are held back.
        out: Folder for ``train_base.json`` and ``validation.json``.

    Returns:
        Counts of images and boxes.

    Raises:
        ValueError: If the file has no more images than are to be held back.
    """
    content = read_coco(annotation)
    images = content["images"]
    if len(images) <= rule.number:
        raise ValueError(
            f"{annotation} has {len(images)} images: {rule.number} cannot be held back "
            "(detector.hold_out.number)"
        )
    drawn = np.random.default_rng(rule.seed).choice(len(images), rule.number, replace=False)
    held = {images[i]["id"] for i in drawn}
    names = [category["name"] for category in content["categories"]]
    base, known_novel = split_classes(names, read_names(novel))
    kept = {*base, *known_novel}
    parts = {True: TRAIN, False: VALIDATION}
    counts: dict[str, int] = {}
    for train, name in parts.items():
        own = {
            **content,
            "images": [i for i in images if (i["id"] not in held) == train],
            "annotations": [
                a for a in content["annotations"] if (a["image_id"] not in held) == train
            ],
        }
        own, count = base_only(own, base if train else kept, keep_images=not train)
        write_json(out / name, own)
        part = "train" if train else "validation"
        counts |= {f"{part}_images": count["images_kept"], f"{part}_boxes": count["boxes_kept"]}
    return counts


def training_options(config: Config, rule: HoldOut | None, folder: Path) -> dict[str, Any]:
    """Options that train on what :func:`hold_out` left; none without it."""
    if rule is None:
        return {}
    return {"train_dataloader.dataset.ann_file": str((folder / TRAIN).resolve())}


def turn_to_validation(config: Config, rule: HoldOut | None, folder: Path) -> None:
    """Makes the test loop of a config run on the validation split.

    Args:
        config: Changed in place.
        rule: Where the split comes from; None: the config's ``val_dataloader``.
        folder: Of the files of :func:`hold_out`.

    Raises:
        ValueError: If there is no validation split, or it is the test split.
    """
    if rule is not None:
        path = str((folder / VALIDATION).resolve())
        dataset = config.test_dataloader.dataset
        if "ann_file" not in dataset:
            raise ValueError(
                f"{config.filename}: detector.hold_out gives detection data, but this config tests "
                f"on {dataset.get('type')}"
            )
        dataset.ann_file, dataset.data_prefix = path, dict(img=rule.img)
        if "ann_file" in config.test_evaluator:
            config.test_evaluator.ann_file = path
        return
    check_validation(config)
    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator


def check_validation(config: Config) -> None:
    """Refuses a config without a validation split apart from the test split.

    Raises:
        ValueError: Naming the config and what to do.
    """
    loader = config.get("val_dataloader")
    if loader is None or config.get("val_evaluator") is None:
        raise ValueError(
            f"{config.filename} has no val_dataloader with a val_evaluator: choices are made on "
            "validation data, never on the test split; give them, or detector.hold_out"
        )
    if _identity(loader.dataset) == _identity(config.test_dataloader.dataset):
        raise ValueError(
            f"{config.filename}: the validation split is the test split "
            f"({', '.join(filter(None, _identity(loader.dataset)))}): choices would see what they "
            "are judged on; give another val_dataloader, or detector.hold_out"
        )


def _identity(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells one split from another."""
    keys = ("data_root", "ann_file", "path", "split", "where")
    return tuple(f"{key} {dataset[key]}" if dataset.get(key) else "" for key in keys)
