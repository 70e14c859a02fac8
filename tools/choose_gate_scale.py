#!/usr/bin/env python
"""Chooses the gate scale of a customization on validation data and writes it into its card.

    python tools/choose_gate_scale.py work_dirs/RUN/customized.safetensors \\
        --domain CONFIG METRIC --general CONFIG METRIC

The rule: the scale with the largest domain metric among those that keep the general metric within
--allowed-drop of the base's. Both configs need validation data; the test split is not opened.
"""

import argparse
import sys
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from mmengine.config import DictAction


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("delta", type=Path, help="customized.safetensors, its card beside it")
    for name, what in (("domain", "it is customized for"), ("general", "must not be lost")):
        parser.add_argument(
            f"--{name}",
            nargs=2,
            required=True,
            metavar=("CONFIG", "METRIC"),
            help=f"what {what}, e.g. zero_shot/top1",
        )
    parser.add_argument("--scales", nargs="+", type=float, default=[0, 0.25, 0.5, 0.75, 1])
    parser.add_argument("--allowed-drop", type=float, default=0.03, help="fraction, e.g. 0.03")
    parser.add_argument("--per-block", action="store_true", help="one scale per gated block")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/gate_scale"))
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="for both configs"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measures, chooses and writes; 1 when it was refused, with the reason."""
    args = parse_args(arguments)
    from react_mm.apis.gate_scale import ValidationTask, choose_scale_of

    tasks = [
        ValidationTask(Path(config), metric, args.cfg_options)
        for config, metric in (args.domain, args.general)
    ]
    try:
        found = choose_scale_of(
            args.delta, *tasks, args.work_dir, args.scales, args.allowed_drop, args.per_block
        )
    except (ValueError, FileNotFoundError) as error:
        print(f"choose_gate_scale.py: {error}", file=sys.stderr)
        return 1
    print("| gate scale | domain | general |\n|---|---|---|")
    for row in found["curve"]:
        print(f"| {row['scale']} | {row['target']:.4f} | {row['other']:.4f} |")
    print(f"gate scale {found['gate_scale']}: written into {args.delta.with_suffix('.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
