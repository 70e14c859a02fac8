#!/usr/bin/env python
"""Reproduces docs/real_photos.md: retrieval, customization and controls on real photographs.

    REACT_MM_DATA=FOLDER python tools/reproduce_real_photos.py [--work-dir DIR] [--seeds 0 1 2]

Finished stages are reused; a killed run continues. Needs the extra `lite`, and no network.
"""

import argparse
import os
import sys
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401

FOLDERS = ("grocery", "clothing", "openmoji", "fluent_emoji_3d", "exercises", "coco_mini")


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", default="work_dirs/real_photos", help="output folder")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of each arm")
    parser.add_argument(
        "--iterations", nargs="+", type=int, help="lengths of training to choose from (multiple)"
    )
    return parser.parse_args()


def main() -> int:
    """Runs everything; 1 when the data or the packages are missing."""
    args = parse_args()
    data = os.environ.get("REACT_MM_DATA")
    missing = [name for name in FOLDERS if not (Path(data or "") / name).is_dir()]
    if not data or missing:
        print(
            "reproduce_real_photos.py: set REACT_MM_DATA to the folder with "
            f"{', '.join(FOLDERS)} (lacking: {', '.join(missing)})",
            file=sys.stderr,
        )
        return 1
    from react_mm.benchmarks.real_photos import ITERATIONS, PhotoRun

    try:
        run = PhotoRun(Path(args.work_dir), args.seeds, args.iterations or ITERATIONS)
        run.run()
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        print(f"reproduce_real_photos.py: {error}", file=sys.stderr)
        return 1
    print(f"\n{(run.folder / 'results.md').read_text(encoding='utf-8')}")
    print(f"written: {run.folder / 'results.json'}, {run.folder / 'results.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
