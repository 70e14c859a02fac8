"""Writes the drawn world to disk: shards, classification folders, COCO and semantic annotations."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from react_mm.manifest import atomic_path, read_json, write_json
from react_mm.toy.sampling import PAIR_PARTS, labelled_single, pair, scene
from react_mm.toy.scene import Drawing
from react_mm.toy.world import CONCEPTS, FAMILIES, TARGET_FAMILY, concept_names, target_names

__all__ = ["CLASSIFICATION_PER_CONCEPT", "PARTS", "SCENES", "drawing_digest", "write_world"]

PARTS: tuple[str, ...] = ("pool", "classification", "scenes", "base")
"""What :func:`write_world` can write; the demo needs the first three."""

CLASSIFICATION_PER_CONCEPT = 25
"""Images of each concept in each of the two classification splits."""

SCENES: dict[str, int] = {"train": 600, "val": 150, "test": 300}
"""Annotated scenes per split."""

SHARD_SIZE = 1000
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 4]


def _encode(image: np.ndarray, suffix: str) -> bytes:
    array = image[..., ::-1] if image.ndim == 3 else image
    ok, data = cv2.imencode(suffix, array, _JPEG if suffix == ".jpg" else _PNG)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a {image.shape} image as {suffix}")
    return data.tobytes()


def drawing_digest(drawing: Drawing, *texts: str) -> bytes:
    """Hash of pixels, labels and texts: it does not depend on the version of an image codec."""
    digest = hashlib.sha256(repr((drawing.image.shape, texts)).encode())
    digest.update(np.ascontiguousarray(drawing.image).tobytes())
    for thing in drawing.objects:
        digest.update(f"{thing.concept},{thing.colour},{thing.box}".encode())
        digest.update(np.packbits(thing.mask).tobytes())
    return digest.digest()


def _member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _write_shard(folder: Path, seed: int, name: str, shard: int, total: int) -> tuple[bytes, dict]:
    """Write one shard of pairs; returns its digest and how many pairs of each kind it holds."""
    digest, kinds = hashlib.sha256(), dict.fromkeys(("target", "mention", "other"), 0)
    with (
        atomic_path(folder / f"{name}-{shard:06d}.tar") as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for index in range(shard * SHARD_SIZE, min(total, (shard + 1) * SHARD_SIZE)):
            row = pair(seed, name, index)
            digest.update(drawing_digest(row.drawing, row.caption))
            kinds[row.kind] += 1
            key = f"{name}{index:08d}"
            objects = [
                {"concept": CONCEPTS[o.concept].name, "box": o.box} for o in row.drawing.objects
            ]
            _member(tar, f"{key}.jpg", _encode(row.drawing.image, ".jpg"))
            _member(tar, f"{key}.json", json.dumps({"key": key, "objects": objects}).encode())
            _member(tar, f"{key}.txt", row.caption.encode())
    return digest.digest(), kinds


def _write_class(folder: Path, seed: int, split: str, concept: int) -> tuple[bytes, dict]:
    """Write the images of one concept of one classification split."""
    target = folder / split / CONCEPTS[concept].name
    target.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for index in range(CLASSIFICATION_PER_CONCEPT):
        drawing = labelled_single(seed, split, concept, index)
        digest.update(drawing_digest(drawing))
        with atomic_path(target / f"{index:04d}.png") as temporary:
            temporary.write_bytes(_encode(drawing.image, ".png"))
    return digest.digest(), {"images": CLASSIFICATION_PER_CONCEPT}


def _annotation(drawing: Drawing, index: int) -> Iterator[dict]:
    for thing in drawing.objects:
        x0, y0, x1, y1 = thing.box
        rle = coco_mask.encode(np.asfortranarray(thing.mask.astype(np.uint8)))
        yield {
            "image_id": index + 1,
            "category_id": thing.concept + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": int(thing.mask.sum()),
            "iscrowd": 0,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        }


def _write_scenes(folder: Path, seed: int, split: str) -> tuple[bytes, dict]:
    """Write one split of scenes with COCO and semantic annotations."""
    images, annotations, digest = [], [], hashlib.sha256()
    (folder / split).mkdir(parents=True, exist_ok=True)
    (folder / "semantic" / split).mkdir(parents=True, exist_ok=True)
    for index in range(SCENES[split]):
        drawing = scene(seed, split, index)
        digest.update(drawing_digest(drawing))
        height, width = drawing.image.shape[:2]
        name = f"{index:06d}.png"
        semantic = np.zeros((height, width), np.uint8)
        for thing in drawing.objects:
            semantic[thing.mask] = thing.concept + 1
        (folder / split / name).write_bytes(_encode(drawing.image, ".png"))
        (folder / "semantic" / split / name).write_bytes(_encode(semantic, ".png"))
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        annotations += _annotation(drawing, index)
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    _write_coco(
        folder / "annotations" / f"instances_{split}.json", images, annotations, len(CONCEPTS)
    )
    if split == "train":
        base = len(CONCEPTS) - len(target_names())
        kept = [a for a in annotations if a["category_id"] <= base]
        _write_coco(folder / "annotations" / "instances_train_base.json", images, kept, base)
    return digest.digest(), {"images": len(images), "objects": len(annotations)}


def _write_coco(path: Path, images: list[dict], annotations: list[dict], classes: int) -> None:
    """Write a COCO file with the first ``classes`` concepts as categories, ids ascending."""
    categories = [
        {"id": i + 1, "name": c.name, "supercategory": c.family}
        for i, c in enumerate(CONCEPTS[:classes])
    ]
    info = {"description": "react_mm drawn world"}
    write_json(
        path,
        {"info": info, "images": images, "annotations": annotations, "categories": categories},
    )


def _tasks(out: Path, seed: int, parts: tuple[str, ...]) -> list[tuple[str, tuple]]:
    tasks: list[tuple[str, tuple]] = []
    for part in parts:
        if part == "scenes":
            tasks += [(part, (_write_scenes, out / part, seed, split)) for split in SCENES]
        elif part == "classification":
            tasks += [
                (part, (_write_class, out / part, seed, split, concept))
                for split in ("val", "test")
                for concept in range(len(CONCEPTS))
            ]
        else:
            total = PAIR_PARTS[part].pairs
            tasks += [
                (part, (_write_shard, out / part, seed, part, shard, total))
                for shard in range(-(-total // SHARD_SIZE))
            ]
    return tasks


def _run(task: tuple) -> tuple[bytes, dict]:
    return task[0](*task[1:])


def _write_names(out: Path) -> None:
    lines = ["; ".join(c.words) for c in CONCEPTS]
    target = [line for line, c in zip(lines, CONCEPTS, strict=True) if c.family == TARGET_FAMILY]
    for name, rows in (("concepts.txt", lines), ("target.txt", target)):
        with atomic_path(out / name) as temporary:
            temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_world(
    out: str | Path,
    seed: int = 0,
    parts: tuple[str, ...] = PARTS,
    workers: int = 2,
    progress: bool = True,
) -> dict:
    """Write parts of the drawn world; the same seed gives the same bytes.

    Args:
        out: Folder to write to; made when absent, older files of the same names are replaced.
        seed: Seed of the world.
        parts: Some of :data:`PARTS`.
        workers: Number of processes.
        progress: Whether to show a progress bar.

    Returns:
        The content of ``world.json``: seed, families, and per part its hash and counts. The hash
        covers pixels, masks, labels and captions, not the bytes of the image codec.

    Raises:
        ValueError: If a part is unknown or ``workers`` is below one.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"unknown parts {unknown} of the drawn world: choose from {PARTS}")
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _write_names(out)
    tasks = _tasks(out, seed, tuple(parts))
    digests = {part: hashlib.sha256() for part in parts}
    counts: dict[str, dict[str, int]] = {part: {} for part in parts}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        results = executor.map(_run, [task for _, task in tasks])
        bar = tqdm(results, "drawn world", len(tasks), disable=not progress, unit="file")
        for (part, _), (digest, count) in zip(tasks, bar, strict=True):
            digests[part].update(digest)
            for key, value in count.items():
                counts[part][key] = counts[part].get(key, 0) + value
    return _write_card(out, seed, {p: (digests[p].hexdigest(), counts[p]) for p in parts})


def _write_card(out: Path, seed: int, done: dict[str, tuple[str, dict]]) -> dict:
    """Write world.json; parts of the same seed that were written before are kept in it."""
    path = out / "world.json"
    old = read_json(path) if path.exists() else {}
    parts = old.get("parts", {}) if old.get("seed") == seed else {}
    parts |= {part: {"sha256": digest, **counts} for part, (digest, counts) in done.items()}
    card = {
        "seed": seed,
        "families": {f: [c.name for c in CONCEPTS if c.family == f] for f in FAMILIES},
        "target_family": TARGET_FAMILY,
        "concepts": list(concept_names()),
        "parts": {part: parts[part] for part in PARTS if part in parts},
    }
    write_json(path, card)
    return card
