#!/usr/bin/env python
"""Reproduces docs/customization.md: every customization method on photographs, gain and forgetting.

    REACT_MM_DATA=FOLDER python tools/reproduce_customization.py            # the full matrix
    python tools/reproduce_customization.py --domain clothing --seeds 0 --rows plain teacher
    python tools/reproduce_customization.py --domain grocery --struck --seeds 0 --rows teacher

Finished stages are reused; a killed run continues. Needs the extra `lite`, and no network.
"""

import argparse
import os
import sys
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401

FOLDERS = ("grocery", "clothing", "openmoji", "fluent_emoji_3d", "exercises", "coco_mini")


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", default="work_dirs/customization", help="output folder")
    parser.add_argument("--domain", help="grocery or clothing alone; default: the full matrix")
    parser.add_argument("--struck", action="store_true", help="captions without class names")
    parser.add_argument("--seeds", nargs="+", type=int, help="seeds of each row")
    parser.add_argument("--rows", nargs="+", help="rows; default: all of the domain's")
    parser.add_argument(
        "--iterations", nargs="+", type=int, help="lengths of training to choose from"
    )
    parser.add_argument("--lanes", type=int, default=2, help="trainings side by side")
    parser.add_argument("--no-dense", action="store_true", help="no GT-box accuracy and mIoU")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs everything; 1 when the data or the packages are missing."""
    args = parse_args(arguments)
    data = os.environ.get("REACT_MM_DATA")
    missing = [name for name in FOLDERS if not (Path(data or "") / name).is_dir()]
    if not data or missing:
        print(
            "reproduce_customization.py: set REACT_MM_DATA to the folder with "
            f"{', '.join(FOLDERS)} (lacking: {', '.join(missing)})",
            file=sys.stderr,
        )
        return 1
    from react_mm.benchmarks.matrix_plan import run_plan

    try:
        written = run_plan(args)
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        print(f"reproduce_customization.py: {error}", file=sys.stderr)
        return 1
    for folder in written:
        print(f"\n{(folder / 'results.md').read_text(encoding='utf-8')}")
        print(f"written: {folder / 'results.json'}, results.md, frontier.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
