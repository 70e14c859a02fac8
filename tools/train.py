#!/usr/bin/env python
"""Trains what a config describes: customization, detection, segmentation.

python tools/train.py CONFIG [--work-dir DIR] [--resume] [--vocabulary NAMES.txt]
                             [--cfg-options KEY=VALUE ...]
"""

import argparse
import os

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.launching import add_common_arguments, build_runner, locked, prepare


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="continue from the newest loadable checkpoint of the work dir, or from the one given",
    )
    return parser.parse_args()


def main() -> None:
    """Reads the config, then trains."""
    args = parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    config = prepare(args, resume=args.resume)
    with locked(config):
        build_runner(config).train()


if __name__ == "__main__":
    main()
