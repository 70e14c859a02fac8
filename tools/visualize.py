#!/usr/bin/env python
"""Predicts for an image or a folder by class names: JSON files and drawn pictures.

    python tools/visualize.py photos CONFIG CHECKPOINT --names cat dog --out work_dirs/seen
    python tools/visualize.py photo.jpg CONFIG --vocabulary names.txt --out work_dirs/seen \\
        --before none --after work_dirs/run/customized.safetensors

Results: OUT/results/NAME.json (with --before/--after in OUT/before and OUT/after), pictures:
OUT/drawn/NAME.png, damaged images: rejected.json. A killed run continues where it was.
"""

import argparse
import functools
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
from mmengine.config import DictAction

from react_mm.manifest import ManifestError


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="an image file or a folder")
    parser.add_argument("config", help="config of a classifier, detector or segmentor")
    parser.add_argument("checkpoint", nargs="?", help="weights; without it, the config's own")
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument("--names", nargs="+", help="class names")
    classes.add_argument("--vocabulary", help="names file (name; synonym) or a public set")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--delta", help="customization for the tower; none: without any")
    parser.add_argument("--gate-scale", type=float, help="scale of its gates, 0 to 1")
    parser.add_argument("--before", metavar="DELTA|none", help="draw two towers side by side")
    parser.add_argument("--after", metavar="DELTA|none", help="the second of them")
    parser.add_argument("--before-checkpoint", help="weights of --before, if they are others")
    parser.add_argument("--score-thr", type=float, default=0.3, help="of what is drawn (0.3)")
    parser.add_argument("--mask-format", choices=("rle", "polygons"), default="rle")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: CUDA if there is one")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    args = parser.parse_args(arguments)
    if (args.before is None) != (args.after is None):
        parser.error("--before and --after belong together; either may be none")
    if args.before is not None and args.delta is not None:
        parser.error("--delta is for one model; --before and --after name two")
    if args.before_checkpoint and args.before is None:
        parser.error("--before-checkpoint belongs to --before")
    return args


def main(arguments: list[str] | None = None) -> None:
    """Builds one or two inferencers, predicts and draws."""
    args = parse_args(arguments)
    from react_mm.apis import Inferencer
    from react_mm.apis.visualization import visualize
    from react_mm.engine.configuration import ConfigKeyError

    build = functools.partial(
        Inferencer,
        args.config,
        vocabulary=args.names or args.vocabulary,
        device=args.device,
        options=args.cfg_options,
        mask_format=args.mask_format,
    )
    weights, scale = args.checkpoint, args.gate_scale
    if args.before is None:
        arms = {"": functools.partial(build, weights, delta=args.delta, gate_scale=scale)}
    else:
        before = args.before_checkpoint or weights
        arms = {
            "before": functools.partial(build, before, delta=args.before),
            "after": functools.partial(build, weights, delta=args.after, gate_scale=scale),
        }
    try:
        counts = visualize(args.images, args.out, arms, args.score_thr, args.batch_size)
    except (ValueError, OSError, ConfigKeyError, ManifestError) as error:
        raise SystemExit(f"visualize: {error}") from None
    for title in arms:
        told = ", ".join(f"{value} {name}" for name, value in counts[title].items())
        print(f"{title + ': ' if title else ''}{told}")
    print(f"{counts['drawn']} pictures in {args.out / 'drawn'}")


if __name__ == "__main__":
    main()
