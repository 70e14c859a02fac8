#!/usr/bin/env python
"""Writes annotation files for open-vocabulary detection: base classes only, or base and novel.

python tools/convert_ov_dataset.py TRAIN.json --novel ov-coco --out TRAIN_base.json
python tools/convert_ov_dataset.py VAL.json --novel ov-coco --keep base-novel --out VAL_65.json
python tools/convert_ov_dataset.py lvis_v1_train.json --novel ov-lvis --out lvis_v1_train_base.json
python tools/convert_ov_dataset.py TRAIN.json --novel target.txt --novel-as-ignore --out BASE.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

from react_mm.datasets.base_novel import (
    NAMED_SPLITS,
    OV_LVIS,
    base_only,
    check_classes,
    check_lvis_v1,
    rare_classes,
    read_coco,
    read_names,
    split_classes,
)
from react_mm.manifest import atomic_path

Names = tuple[str, ...]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation", help="COCO instances or LVIS file")
    parser.add_argument(
        "--novel",
        required=True,
        help="novel classes: 'ov-coco', 'ov-lvis' (the rare ones of an LVIS file), or a file with "
        "a name per line",
    )
    parser.add_argument(
        "--base", help="base classes: a file with a name per line; default: all that are not novel"
    )
    parser.add_argument("--keep", choices=["base", "base-novel"], default="base")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument(
        "--keep-images", action="store_true", help="keep images that lose all their boxes"
    )
    parser.add_argument(
        "--novel-as-ignore",
        action="store_true",
        help="keep the places of novel objects, without names, for losses to ignore "
        "(OpenVocabularyCocoDataset(only_base=True, ignore_novel=True))",
    )
    return parser.parse_args()


def choose_classes(args: argparse.Namespace, annotation: dict[str, Any]) -> tuple[Names, Names]:
    """Base and novel classes, checked against the annotation file."""
    names = [category["name"] for category in annotation["categories"]]
    if args.novel in NAMED_SPLITS:
        base, novel = NAMED_SPLITS[args.novel]
    elif args.novel == OV_LVIS:
        novel = rare_classes(annotation["categories"], args.annotation)
        base, _ = split_classes(names, novel)
        check_lvis_v1(args.annotation, base, novel)
        if not novel:
            raise ValueError(f"{args.annotation} has no rare class: is it converted already?")
    else:
        novel = read_names(args.novel)
        base, _ = split_classes(names, novel)
    if args.base:
        base = read_names(args.base)
    check_classes((*base, *novel), names, args.annotation)
    if twice := sorted(set(base) & set(novel)):
        raise ValueError(f"classes are both base and novel: {twice[:5]}")
    return base, novel


def main() -> None:
    """Checks the class lists against the file, converts, and says what was dropped."""
    args = parse_args()
    if Path(args.out).resolve() == Path(args.annotation).resolve():
        raise SystemExit("--out is the input file itself: choose another name")
    if args.novel_as_ignore and args.keep != "base":
        raise SystemExit("--novel-as-ignore is for training files: it goes with --keep base")
    annotation = read_coco(args.annotation)
    base, novel = choose_classes(args, annotation)
    wanted = base if args.keep == "base" else (*base, *novel)
    ignored = novel if args.novel_as_ignore else ()
    converted, counts = base_only(annotation, wanted, args.keep_images, ignored)
    with atomic_path(args.out) as temporary:
        temporary.write_text(json.dumps(converted), encoding="utf-8")
    print(f"classes: {len(base)} base, {len(novel)} novel")
    for name, count in counts.items():
        print(f"{name.replace('_', ' ')}: {count}")
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
