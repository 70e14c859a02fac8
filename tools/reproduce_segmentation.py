#!/usr/bin/env python
"""Segmentation on the drawn world over several seeds: the table of docs/segmentation.md.

    python tools/reproduce_segmentation.py --seeds 0 1 2 3 4

Needs finished seeds of tools/reproduce_toy_world.py (the same --out). Every training-free variant
and both trained heads, on the plain, the customized, and the customized + dense tower. A killed run
goes on where it was.
"""

import argparse
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.manifest import atomic_path, write_json


def main(arguments: list[str] | None = None) -> None:
    """Runs each seed and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/toy_seeds"))
    parser.add_argument("--short", action="store_true", help="two steps each, to see that it runs")
    args = parser.parse_args(arguments)
    from react_mm.toy.segmentation import run_segmentation, segmentation_table

    per_seed = {}
    for seed in args.seeds:
        print(f"== seed {seed}", flush=True)
        folder = args.out.resolve() / f"seed-{seed}"
        try:
            per_seed[seed] = run_segmentation(folder, seed, args.short)
        except FileNotFoundError as error:
            raise SystemExit(f"reproduce_segmentation: {error}") from None
        write_json(args.out / "segmentation.json", per_seed)
    text = segmentation_table(list(per_seed.values()))
    with atomic_path(args.out / "segmentation.md") as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    print(text + f"written: {args.out / 'segmentation.md'}")


if __name__ == "__main__":
    main()
