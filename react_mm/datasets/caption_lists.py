"""Captions of images in the files that people have: COCO's, Karpathy's splits, ``pairs.jsonl``."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def json_rows(path: Path, where: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a ``.jsonl`` list whose fields equal ``where``.

    Raises:
        ValueError: If a line is no JSON object with the field ``image``; names file and line.
    """
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    row["image"]
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"{path} line {number}: {error!r}") from error
                if all(row.get(k) == v for k, v in where.items()):
                    yield row


def read_captions(path: Path, images: str, where: Mapping[str, Any]) -> dict[str, list[str]]:
    """Captions by image of a list file.

    Args:
        path: A ``.jsonl`` list (``image`` with ``captions`` or ``text``); a COCO captions file
            (``images`` and ``annotations``); or a file of Karpathy's splits, ``dataset_coco.json``
            or ``dataset_flickr30k.json`` (``images`` with ``filepath``, ``filename``,
            ``sentences``, ``split``).
        images: Folder of the images, put before the file names of the JSON forms.
        where: Equality filter on the rows of ``.jsonl`` and of Karpathy's files.

    Raises:
        ValueError: If the file is of none of these forms.
    """
    if path.suffix != ".json":
        return {
            row["image"]: row.get("captions") or [row.get("text") or ""]
            for row in json_rows(path, where)
        }
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content.get("images") if isinstance(content, dict) else None
    if rows and all("sentences" in row for row in rows):
        kept = (row for row in rows if all(row.get(k) == v for k, v in where.items()))
        return {
            str(Path(images) / row.get("filepath", "") / row["filename"]): [
                sentence["raw"] for sentence in row["sentences"]
            ]
            for row in kept
        }
    if not rows or "annotations" not in content:
        raise ValueError(f"{path} is neither a COCO captions file nor one of Karpathy's splits")
    name = {row["id"]: str(Path(images) / row["file_name"]) for row in rows}
    captions: dict[str, list[str]] = {n: [] for n in name.values()}
    for annotation in content["annotations"]:
        captions[name[annotation["image_id"]]].append(annotation["caption"])
    return captions
