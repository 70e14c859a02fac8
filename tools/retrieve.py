"""Retrieve image-text pairs about given concepts from a pool.

    python tools/retrieve.py run configs/retrieval/toy.py

Stages: embed, index, query, select, export, sample, hard-pairs; `run` does all in this order (the
last two if the config asks for them) and skips what is done.
`--cfg-options search.k=100 select.per_concept=50` changes single values of the config.
"""

import argparse
import sys

import react_mm  # noqa: F401
from mmengine.config import Config, DictAction

from react_mm.manifest import ManifestError
from react_mm.retrieval.pipeline import HARD_PAIRS, NEEDS_ENCODER, STAGES, run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*STAGES, HARD_PAIRS, "run"], help="what to do")
    parser.add_argument("config", help="config file, see configs/retrieval")
    parser.add_argument("--work-dir", help="output folder instead of the config's work_dir")
    parser.add_argument("--device", default="cpu", help="device of the encoder, e.g. cuda")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="KEY=VALUE ...")
    return parser.parse_args()


def main() -> int:
    """Run one stage or all of them; 1 when it was refused, with the reason."""
    args = parse_args()
    try:
        config = Config.fromfile(args.config)
        if args.cfg_options:
            config.merge_from_dict(args.cfg_options)
        plain = config.to_dict()
        if args.work_dir:
            plain["work_dir"] = args.work_dir
        stages = None if args.stage == "run" else [args.stage]
        encoder = None
        if NEEDS_ENCODER & set(stages or STAGES):
            if not plain.get("encoder"):
                raise ValueError("the config lacks `encoder`, the model that embeds")
            from react_mm.apis.encoder import build_encoder

            encoder = build_encoder(plain["encoder"], args.device)
        result = run(plain, encoder, stages, progress=not args.quiet)
    except (ValueError, OSError, ImportError, ManifestError) as error:
        print(f"retrieve.py: {error}", file=sys.stderr)
        return 1
    for stage, seconds in result["seconds"].items():
        print(f"{stage}: {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
