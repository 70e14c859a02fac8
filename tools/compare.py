"""Joins result files into one before/after table.

Usage:
    python tools/compare.py work_dirs/demo/results.json
    python tools/compare.py a/results.json b/results.json --names base mine --format csv --out t.csv
"""

import argparse
from pathlib import Path

from react_mm.manifest import atomic_path
from react_mm.reporting.table import collect, render, rows_of


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Joins result files into one table.")
    parser.add_argument("results", nargs="+", type=Path, help="JSON result files")
    parser.add_argument("--names", nargs="+", help="a column name for each file")
    parser.add_argument("--metrics", nargs="+", help="metrics to keep, e.g. zero_shot.target")
    parser.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    parser.add_argument("--out", type=Path, help="write here instead of printing")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Prints or writes the table."""
    args = parse_args(arguments)
    try:
        text = render(rows_of(collect(args.results, args.names), args.metrics), args.format)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"compare: {error}") from None
    if args.out is None:
        print(text, end="")
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(args.out) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
