#!/usr/bin/env python
"""The demo over several seeds with confidence intervals: the table of docs/toy_world.md.

    python tools/reproduce_toy_world.py --seeds 0 1 2 3 4
    python tools/reproduce_toy_world.py --settings      # the grid behind the recommended config
    python tools/reproduce_toy_world.py --methods --seeds 0   # every method on a finished seed

A killed run goes on where it was; finished stages of each seed are reused.
"""

import argparse
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.manifest import atomic_path, write_json
from react_mm.toy.methods import methods_table, run_methods
from react_mm.toy.seeds import run_seed, table
from react_mm.toy.settings import choose_settings, markdown


def main() -> None:
    """Runs each seed and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/toy_seeds"))
    parser.add_argument("--settings", action="store_true", help="run the grid of settings instead")
    parser.add_argument("--methods", action="store_true", help="every method on finished seeds")
    args = parser.parse_args()
    if args.settings:
        found = choose_settings(args.out.resolve() / "settings")
        write_json(args.out / "settings.json", found)
        print(markdown(found))
        return
    if args.methods:
        for seed in args.seeds:
            print(methods_table(run_methods(args.out.resolve() / f"seed-{seed}", seed)))
        return
    per_seed = {}
    for seed in args.seeds:
        print(f"== seed {seed}", flush=True)
        per_seed[seed] = run_seed(args.out.resolve() / f"seed-{seed}", seed)
        write_json(args.out / "results.json", per_seed)
    text = table(list(per_seed.values()))
    with atomic_path(args.out / "table.md") as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    print(text + f"written: {args.out / 'table.md'}")


if __name__ == "__main__":
    main()
