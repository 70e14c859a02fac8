#!/usr/bin/env python
"""Tests a detector under its classes' own names and under synonyms: how much do words decide?

python tools/test_synonyms.py CONFIG CHECKPOINT [--synonyms coco] [--which 1 2] [--classes novel]
                              [--out synonyms.json] [--cfg-options KEY=VALUE ...]
"""

import argparse
import os

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.launching import add_common_arguments, build_runner, prepare
from react_mm.engine.synonym_test import GROUPS, run_synonym_tests
from react_mm.manifest import write_json


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument(
        "checkpoint", nargs="?", help="weights of the whole model; without it, the config's own"
    )
    parser.add_argument(
        "--synonyms", default="coco", help="'coco', or a file: `name; synonym; synonym` per line"
    )
    parser.add_argument(
        "--which", nargs="+", type=int, default=[1], help="which synonym of each class: 1 2 3"
    )
    parser.add_argument("--classes", choices=list(GROUPS), default="novel", help="what is renamed")
    parser.add_argument("--out", help="write rows and changes to this JSON file")
    return parser.parse_args()


def main() -> None:
    """Reads the config, tests once per naming, prints the rows."""
    args = parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    config = prepare(args, checkpoint=args.checkpoint)
    runner = build_runner(config)
    found = run_synonym_tests(runner, args.synonyms, args.which, args.classes)
    if runner.rank:
        return
    for name, change in found["change"].items():
        figures = "  ".join(f"{r['names']} {r['metrics'][name]:.4f}" for r in found["rows"])
        print(f"{name}: {figures}  change {change:+.4f}")
    if args.out:
        write_json(args.out, found)
        print(f"written: {args.out}")


if __name__ == "__main__":
    main()
