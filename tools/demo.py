"""The whole line on the drawn world: pool to before/after table, on a CPU, without a download.

Usage:
    python tools/demo.py                     # writes work_dirs/demo/results.json and report.html
    python tools/demo.py --again "embed"     # runs a finished stage once more, and what follows it

A second call reuses finished stages. The drawn world goes to data/toy.
"""

import argparse
import os
import time
import warnings
from pathlib import Path


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/demo"))
    parser.add_argument("--seed", type=int, default=0, help="seed of the world and of training")
    parser.add_argument("--again", nargs="+", default=[], metavar="STAGE", help="stages to rerun")
    parser.add_argument("--short", action="store_true", help="only see that the line runs")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Runs the line, prints the table and says where the report lies."""
    args = parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    warnings.filterwarnings("ignore")
    start = time.perf_counter()
    print("== starting: importing torch, mmengine, mmdetection, mmsegmentation")
    import react_mm  # noqa: F401  first: it supplies mmcv's operators
    from react_mm.reporting.table import collect, render, rows_of
    from react_mm.toy.demo.line import Demo
    from react_mm.engine.stages import Stages

    stages = Stages(args.work_dir, again=args.again)
    report = Demo(args.work_dir, args.seed, stages, args.short).run()
    results = args.work_dir / "results.json"
    columns = collect([results])
    print("\n" + render(rows_of(columns), "markdown"))
    print(f"{len(stages.reused)} of {len(stages.stamps)} stages were finished before")
    print(f"{time.perf_counter() - start:.0f} s; numbers: {results}; report: {report}")


if __name__ == "__main__":
    main()
