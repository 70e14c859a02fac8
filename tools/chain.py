"""From a list of names to novel AP in one config: retrieval, customization, detectors.

    python tools/chain.py configs/chain/toy.py
    python tools/chain.py configs/chain/toy.py --check      # is every card's input what it names?

A second call reuses finished stages. `--cfg-options
detector.options.train_cfg.max_iters=50` reaches into the configs that the chain's config names.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import react_mm  # noqa: F401  (first: it supplies mmcv's operators)
import react_mm.registry  # noqa: F401
from mmengine.config import DictAction

from react_mm.engine.configuration import ConfigKeyError
from react_mm.manifest import ManifestError


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="chain config, see configs/chain")
    parser.add_argument("--work-dir", type=Path, help="output folder instead of the config's")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="KEY=VALUE ...")
    parser.add_argument("--again", nargs="+", default=[], metavar="STAGE", help="stages to rerun")
    parser.add_argument("--check", action="store_true", help="only check what lies in the folder")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs or checks the chain; 1 when it was refused, with the reason."""
    args = parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    warnings.filterwarnings("ignore")
    from react_mm.chain.line import Chain
    from react_mm.chain.results import brief
    from react_mm.chain.settings import load_settings

    try:
        settings = load_settings(args.config, args.cfg_options, args.work_dir)
        chain = Chain(settings, args.again)
        if args.check:
            found = chain.check()
            print(
                f"{settings.work_dir}: {found['links']} links and {found['cards']} cards are whole"
            )
            return 0
        results = chain.run()
    except (ConfigKeyError, ValueError, OSError, ManifestError) as error:
        print(f"chain: {error}", file=sys.stderr)
        return 1
    print("\n" + (settings.work_dir / "table.md").read_text(encoding="utf-8"))
    print(brief(results))
    reused, all_stages = len(chain.stages.reused), len(chain.stages.stamps)
    print(f"{reused} of {all_stages} stages were finished before; {settings.work_dir}/results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
