#!/usr/bin/env python
"""The tables of docs/detection.md.

    python tools/reproduce_detection.py world --seeds 0 1 2 3 4
    python tools/reproduce_detection.py photos --models base=none customized=FILE.safetensors

A killed run goes on where it was; finished stages and tests are reused.
"""

import argparse
import sys
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.manifest import ManifestError, RunLock, atomic_path, write_json


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    world = parts.add_parser("world", help="the drawn world, plain, customized, and with dense")
    world.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    world.add_argument("--out", type=Path, default=Path("work_dirs/detection/world"))
    world.add_argument("--cfg-options", nargs="+", default=[], help="for every seed's chain")
    photos = parts.add_parser("photos", help="GT-box accuracy on coco_mini with the lite base")
    photos.add_argument("--models", nargs="+", default=["base=none"], metavar="NAME=SPEC")
    photos.add_argument("--config", default="detection/gt-box_lite_coco-mini.py")
    photos.add_argument("--out", type=Path, default=Path("work_dirs/detection/photos"))
    photos.add_argument("--draws", type=int, default=1000, help="bootstrap resamples")
    return parser.parse_args(arguments)


def run_world(args: argparse.Namespace) -> None:
    """Runs the chain for each seed and writes the table after each."""
    from react_mm.toy.detection_study import markdown, run_seed, summarise

    per_seed, out = {}, args.out.resolve()
    for seed in args.seeds:
        print(f"== seed {seed}", flush=True)
        per_seed[str(seed)] = run_seed(out / f"seed-{seed}", seed, args.cfg_options)
        rows = summarise(per_seed)
        write_json(out / "results.json", {"per_seed": per_seed, "rows": rows})
        with atomic_path(out / "table.md") as temporary:
            temporary.write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows) + f"written: {out / 'table.md'}")


def run_photos(args: argparse.Namespace) -> None:
    """GT-box accuracy with bootstrap intervals and paired differences to the first model."""
    from react_mm.engine.running import configs_folder
    from react_mm.evaluation.compared_models import ComparedModel, ComparedTask
    from react_mm.evaluation.comparison import run_comparison
    from react_mm.evaluation.comparison_table import tabulate
    from react_mm.reporting.comparison import as_markdown, write_comparison

    models = [ComparedModel.parse(text) for text in args.models]
    config = Path(args.config)
    task = config if config.is_file() else configs_folder() / config
    with RunLock(args.out):
        cells = run_comparison(models, [ComparedTask.parse(f"gt-box={task}")], args.out)
        result = tabulate(cells, metrics=("gt_box/*accuracy*",), draws=args.draws)
        files = write_comparison(result, args.out)
    print(as_markdown(result) + "wrote " + ", ".join(map(str, files)))


def main(arguments: list[str] | None = None) -> int:
    """Runs a part; 1 when it was refused, with the reason."""
    args = parse_args(arguments)
    try:
        (run_world if args.part == "world" else run_photos)(args)
    except (ValueError, OSError, ManifestError) as error:
        print(f"reproduce_detection: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
