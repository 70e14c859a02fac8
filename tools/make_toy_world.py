"""Write the drawn world (images, captions, boxes, masks) to a folder."""

import argparse

from react_mm.toy.writer import PARTS, write_world


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="data/toy", help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the world")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"comma list of {PARTS}")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    return parser.parse_args()


def main() -> None:
    """Write the parts that were asked for and print their hashes."""
    args = parse_args()
    try:
        card = write_world(args.out, args.seed, tuple(args.parts.split(",")), args.workers)
    except ValueError as error:
        raise SystemExit(f"make_toy_world.py: {error}") from error
    for name, part in card["parts"].items():
        print(f"{name}: {part}")


if __name__ == "__main__":
    main()
