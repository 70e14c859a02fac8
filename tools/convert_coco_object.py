#!/usr/bin/env python
"""Label maps of COCO-Object (background and COCO's 80 things) from COCO's instance file.

    python tools/convert_coco_object.py instances_val2017.json \\
        data/coco_stuff164k/annotations/val2017

A killed run goes on where it was.
"""

import argparse
from pathlib import Path

import react_mm  # noqa: F401


def main(arguments: list[str] | None = None) -> None:
    """Converts and prints how many maps were written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation", type=Path, help="instances_*.json")
    parser.add_argument("out", type=Path, help="folder of the label maps")
    args = parser.parse_args(arguments)
    from react_mm.datasets.coco_object import convert_coco_object

    try:
        print(f"{convert_coco_object(args.annotation, args.out)} maps written to {args.out}")
    except (OSError, ValueError) as error:
        raise SystemExit(f"convert_coco_object: {error}") from None


if __name__ == "__main__":
    main()
