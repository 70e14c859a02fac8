#!/usr/bin/env python
"""Exports the image tower (pooled and dense embedding) and the text tower of a config to ONNX.

    python tools/export_onnx.py CONFIG --out work_dirs/onnx               # native size
    python tools/export_onnx.py CONFIG --out work_dirs/onnx --size 448 448
    python tools/export_onnx.py CONFIG --out work_dirs/onnx --open-size   # multiples of the stride

Writes image.onnx, text.onnx and card.json. Every file is run and compared with torch before it is
kept: by onnxruntime where it is installed, else by onnx's own evaluator. Needs the extra `onnx`.
"""

import argparse
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
from mmengine.config import DictAction


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of a classifier, detector or segmentor")
    parser.add_argument("checkpoint", nargs="?", help="weights; without it, the config's own")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--delta", help="customization for the tower; none: without any")
    parser.add_argument("--gate-scale", type=float, help="scale of its gates, 0 to 1")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"))
    sizes.add_argument("--open-size", action="store_true", help="any multiple of the stride")
    parser.add_argument("--parts", nargs="+", choices=("image", "text"), default=("image", "text"))
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Builds the model, exports its towers and prints how far they are from torch."""
    args = parse_args(arguments)
    from react_mm.apis.inference_model import load_inference_model, text_tower_of, tower_of
    from react_mm.apis.onnx_export import export_towers, require_onnx
    from react_mm.engine.configuration import ConfigKeyError

    try:
        require_onnx()
        loaded = load_inference_model(
            args.config, args.checkpoint, args.delta, args.gate_scale, "cpu", args.cfg_options
        )
        card = export_towers(
            tower_of(loaded.model) if "image" in args.parts else None,
            text_tower_of(loaded.model) if "text" in args.parts else None,
            args.out,
            tuple(args.size) if args.size else None,
            args.open_size,
        )
    except (ValueError, OSError, ConfigKeyError, ModuleNotFoundError) as error:
        raise SystemExit(f"export_onnx: {error}") from None
    for part in card.values():
        told = [
            f"{name} differs by {part['checked'][name]['max_difference']:.1e} "
            f"of {part['checked'][name]['max_value']:.2g}"
            for name in part["outputs"]
        ]
        print(f"{args.out / part['file']}: {'; '.join(told)} ({part['checked']['runtime']})")


if __name__ == "__main__":
    main()
