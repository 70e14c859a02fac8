"""Runs one benchmark and writes its rows ``{name, value, unit, settings}`` as JSON.

Usage:
    python tools/benchmark.py dense --out work_dirs/benchmarks/dense.json --quick
"""

import argparse
import importlib
from pathlib import Path

import react_mm  # noqa: F401  supplies mmcv's operators where mmcv has none
from react_mm.manifest import write_json
from react_mm.suggestions import near_matches

NAMES = ("customization", "dense")


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Runs one benchmark.")
    parser.add_argument("name", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, help="write the rows to this JSON file")
    parser.add_argument("--quick", action="store_true", help="end within 5 minutes on 2 cores")
    args = parser.parse_args(arguments)
    if args.name not in NAMES:
        parser.error(f"unknown benchmark {args.name!r}{near_matches(args.name, NAMES)}")
    return args


def main(arguments: list[str] | None = None) -> None:
    """Runs, prints and writes."""
    args = parse_args(arguments)
    module = importlib.import_module(f"react_mm.benchmarks.{args.name}")
    print(f"benchmark {args.name}{' (quick)' if args.quick else ''} ...")
    rows = module.run(quick=args.quick)
    for row in rows:
        method = row["settings"].get("method", "")
        print(f"{row['name']:42s} {method:28s} {row['value']:14.4g} {row['unit']}")
    if args.out is not None:
        write_json(args.out, rows)
        print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
