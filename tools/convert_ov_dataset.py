#!/usr/bin/env python
"""Writes annotation files for open-vocabulary detection: base classes only, or base and novel.

python tools/convert_ov_dataset.py TRAIN.json --novel ov-coco --keep base --out TRAIN_base.json
python tools/convert_ov_dataset.py VAL.json --novel ov-coco --keep base-novel --out VAL_65.json
python tools/convert_ov_dataset.py TRAIN.json --novel target.txt --keep base --out BASE.json
"""

import argparse
import json
from pathlib import Path

from react_mm.datasets.base_novel import (
    NAMED_SPLITS,
    base_only,
    check_classes,
    read_coco,
    read_names,
    split_classes,
)
from react_mm.manifest import atomic_path


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotation", help="COCO instances file")
    parser.add_argument(
        "--novel", required=True, help="novel classes: 'ov-coco', or a file with a name per line"
    )
    parser.add_argument("--keep", choices=["base", "base-novel"], default="base")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument(
        "--keep-images", action="store_true", help="keep images that lose all their boxes"
    )
    return parser.parse_args()


def main() -> None:
    """Checks the class lists against the file, converts, and says what was dropped."""
    args = parse_args()
    if Path(args.out).resolve() == Path(args.annotation).resolve():
        raise SystemExit("--out is the input file itself: choose another name")
    annotation = read_coco(args.annotation)
    names = [category["name"] for category in annotation["categories"]]
    if args.novel in NAMED_SPLITS:
        base, novel = NAMED_SPLITS[args.novel]
    else:
        novel = read_names(args.novel)
        base, _ = split_classes(names, novel)
    check_classes((*base, *novel), names, args.annotation)
    wanted = base if args.keep == "base" else (*base, *novel)
    converted, counts = base_only(annotation, wanted, args.keep_images)
    with atomic_path(args.out) as temporary:
        temporary.write_text(json.dumps(converted), encoding="utf-8")
    for name, count in counts.items():
        print(f"{name.replace('_', ' ')}: {count}")
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
