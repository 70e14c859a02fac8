#!/usr/bin/env python
"""Tests what a config describes, with the weights of a checkpoint or those the config names.

python tools/test.py CONFIG [CHECKPOINT] [--out metrics.json] [--vocabulary NAMES.txt]
                            [--cfg-options KEY=VALUE ...]
"""

import argparse
import os

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.launching import add_common_arguments, build_runner, prepare, write_metrics


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument(
        "checkpoint", nargs="?", help="weights of the whole model; without it, the config's own"
    )
    parser.add_argument("--out", help="write the metrics to this JSON file")
    return parser.parse_args()


def main() -> None:
    """Reads the config, tests, prints the metrics."""
    args = parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    config = prepare(args, checkpoint=args.checkpoint)
    metrics = build_runner(config).test()
    if args.out:
        write_metrics(args.out, metrics, config)


if __name__ == "__main__":
    main()
