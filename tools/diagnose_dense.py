#!/usr/bin/env python
"""Looks into a tower block by block: token norms, outliers, similarities, which block names best.

    python tools/diagnose_dense.py CONFIG IMAGES --out work_dirs/diagnosis
    python tools/diagnose_dense.py CONFIG IMAGES --names road sky car --masks MASKS --out ...

Writes diagnosis.json, layers.png and norms.png, and prints what they say. CONFIG is that of a
segmentor, detector or classifier with a CLIPViT; MASKS holds a PNG per image, label i = name i,
255 ignored.
"""

import argparse
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
from mmengine.config import DictAction


def main(arguments: list[str] | None = None) -> None:
    """Diagnoses and prints the advice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("images", type=Path, help="an image file or a folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--names", nargs="+", help="class names")
    parser.add_argument("--masks", type=Path, help="folder of label maps, with --names")
    parser.add_argument("--size", type=int, help="short side in pixels (the tower's own)")
    parser.add_argument("--at-most", type=int, default=20, help="images (20)")
    parser.add_argument("--outlier-ratio", type=float, default=3.0, help="medians (3)")
    parser.add_argument("--delta", help="customization of the tower")
    parser.add_argument("--gate-scale", type=float, help="scale of its gates, 0 to 1")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: CUDA if there is one")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    args = parser.parse_args(arguments)
    from react_mm.apis.dense_diagnosis import diagnose
    from react_mm.engine.configuration import ConfigKeyError

    try:
        report = diagnose(
            args.config,
            args.images,
            args.out,
            names=args.names,
            masks=args.masks,
            size=args.size,
            at_most=args.at_most,
            outlier_ratio=args.outlier_ratio,
            device=args.device,
            delta=args.delta,
            gate_scale=args.gate_scale,
            options=args.cfg_options,
        )
    except (ValueError, OSError, ConfigKeyError) as error:
        raise SystemExit(f"diagnose_dense: {error}") from None
    for line in report["advice"] or ["nothing stands out"]:
        print(line)
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
