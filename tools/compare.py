"""Puts any models on any tasks into one table, or joins result files into one.

    python tools/compare.py --models base=none mine=run/customized.safetensors \\
        --tasks configs/zero_shot_classification/clip-vit-b16_*.py --out work_dirs/compare
    python tools/compare.py --results before.json after.json --format csv

A model is none (the config's own), WEIGHTS, BASE.py or BASE.py+WEIGHTS, with @0.5 for a gate scale.
Finished tests are kept in OUT/cells and used again.
"""

import argparse
import sys
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
from mmengine.config import DictAction

from react_mm.manifest import ManifestError, RunLock, atomic_path, write_json
from react_mm.reporting.table import collect, render, rows_of


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="result files, as --results")
    parser.add_argument("--models", nargs="+", metavar="NAME=SPEC", help="what to compare")
    parser.add_argument("--tasks", nargs="+", metavar="[NAME=]CONFIG", help="configs to test on")
    parser.add_argument("--reference", help="differences are taken from this model (the first)")
    parser.add_argument("--gate-scales", nargs="+", type=float, help="test models with gates at")
    parser.add_argument(
        "--frontier", nargs=2, metavar=("DOMAIN", "GENERAL"), help="tasks to draw over the scales"
    )
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap resamples")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--again", action="store_true", help="run finished tests, too")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="for every task")
    parser.add_argument("--results", nargs="+", type=Path, default=[], help="JSON result files")
    parser.add_argument("--names", nargs="+", help="a column name for each result file")
    parser.add_argument("--metrics", nargs="+", help="metrics to show, e.g. zero_shot.target")
    parser.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    parser.add_argument("--out", type=Path, help="file (results) or folder (models) to write")
    args = parser.parse_args(arguments)
    args.results += args.files
    if bool(args.models) != bool(args.tasks):
        parser.error("--models and --tasks belong together")
    if bool(args.models) == bool(args.results):
        parser.error("give --models with --tasks, or result files")
    if args.models and args.out is None:
        parser.error("--models needs --out, a folder")
    return args


def compare_models(args: argparse.Namespace) -> None:
    """Runs the missing tests and writes the table."""
    import react_mm.registry  # noqa: F401
    from react_mm.engine.configuration import ConfigKeyError
    from react_mm.evaluation.compared_models import ComparedModel, ComparedTask
    from react_mm.evaluation.comparison import run_comparison
    from react_mm.evaluation.comparison_table import frontier_rows, tabulate
    from react_mm.reporting.comparison import as_markdown, write_comparison
    from react_mm.reporting.frontier import write_frontier

    named = [ComparedModel.parse(text) for text in args.models]
    tasks = [ComparedTask.parse(text) for text in args.tasks]
    scales = args.gate_scales
    models, column = [], {}
    for model in named:
        spread = scales and model.scale is None and str(model.weights).endswith(".safetensors")
        for variant in [model.at(s) for s in scales] if spread else [model]:
            models.append(variant)
            column[variant.name] = (model.name, variant.scale)
    with RunLock(args.out):
        try:
            cells = run_comparison(models, tasks, args.out, args.cfg_options, args.again)
        except ConfigKeyError as error:
            raise ValueError(str(error)) from None
        result = tabulate(cells, args.reference, args.metrics or (), args.draws, args.seed)
        files = write_comparison(result, args.out)
        if args.frontier:
            rows = frontier_rows(cells, column, *args.frontier)
            write_json(args.out / "frontier.json", rows)
            files.append(write_frontier(rows, args.out / "frontier.png", *args.frontier))
    print(as_markdown(result))
    print("wrote " + ", ".join(map(str, files)))


def join_results(args: argparse.Namespace) -> None:
    """Prints or writes the table of result files."""
    text = render(rows_of(collect(args.results, args.names), args.metrics), args.format)
    if args.out is None:
        print(text, end="")
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(args.out) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    print(f"wrote {args.out}")


def main(arguments: list[str] | None = None) -> None:
    """Compares models, or joins result files."""
    args = parse_args(arguments)
    try:
        (compare_models if args.models else join_results)(args)
    except (ValueError, OSError, ManifestError) as error:
        raise SystemExit(f"compare: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
