#!/usr/bin/env python
"""Converts customizations: official REACT or open_clip weights <-> our delta with its card.

python tools/convert_checkpoint.py clip-vit-base-32-gated-image.pt delta.safetensors --to delta \
    --arch ViT-B-32-quickgelu [--pretrained openai]
python tools/convert_checkpoint.py work_dirs/x/customized.safetensors react.pt --to official
python tools/convert_checkpoint.py work_dirs/x/customized.safetensors clip.safetensors \
    --to open-clip [--gate-scale 0.75]
"""

import argparse
from pathlib import Path

from react_mm.checkpoints import read_card
from react_mm.models.checkpoint_conversion import (
    Base,
    base_of_card,
    convert_delta,
    convert_whole,
)
from react_mm.models.official_checkpoints import read_whole


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="delta (.safetensors with its card), or a whole checkpoint")
    parser.add_argument("out", help="file to write; its card is written beside it")
    parser.add_argument("--to", required=True, choices=["delta", "official", "open-clip"])
    parser.add_argument("--arch", help="architecture; default: what the delta's card says")
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--pretrained", help="open_clip's tag of the base")
    base.add_argument("--base", help="local weights of the base")
    parser.add_argument("--gate-scale", type=float, help="s in [0, 1], folded into the weights")
    parser.add_argument("--base-out", help="also write the frozen part of a gated checkpoint")
    return parser.parse_args()


def main() -> None:
    """Converts and says what was written."""
    args = parse_args()
    if Path(args.out).resolve() == Path(args.source).resolve():
        raise SystemExit("OUT is the source itself: choose another name")
    if args.gate_scale is not None and not 0.0 <= args.gate_scale <= 1.0:
        raise SystemExit(f"--gate-scale must lie in [0, 1], got {args.gate_scale}")
    try:
        card = _convert(args)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"method: {card['method']}")
    if card["gate_scale"] != 1.0:
        print(f"the gate scale {card['gate_scale']} stays in the card: the gates cannot hold it")
    print(f"written: {args.out}")


def _convert(args: argparse.Namespace) -> dict:
    if args.to == "delta":
        if args.arch is None:
            raise ValueError("--arch: name the architecture, such as ViT-B-32-quickgelu")
        if args.gate_scale is not None:
            raise ValueError("--gate-scale: a delta keeps it in its card; set it when loading")
        base = Base(args.arch, args.pretrained, args.base)
        return convert_whole(read_whole(args.source), args.out, base, args.source, args.base_out)
    base = None
    if args.pretrained or args.base:
        arch = args.arch or base_of_card(read_card(args.source)).arch
        base = Base(arch, args.pretrained, args.base)
    plain = args.to == "open-clip"
    return convert_delta(args.source, args.out, base, args.gate_scale, plain)


if __name__ == "__main__":
    main()
