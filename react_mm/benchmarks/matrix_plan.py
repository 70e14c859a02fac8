"""Which domains, seeds and rows make the full matrix of tools/reproduce_customization.py."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from react_mm.benchmarks.photo_evaluation import DOMAINS
from react_mm.benchmarks.photo_matrix import MatrixRun
from react_mm.benchmarks.photo_rows import ROWS
from react_mm.benchmarks.real_photos import ITERATIONS
from react_mm.suggestions import near_matches

MAIN_ROWS = tuple(name for name, row in ROWS.items() if row.main)


@dataclass(frozen=True)
class Part:
    """One run of the matrix.

    Attributes:
        domain: Name of the domain.
        struck: Whether class names are struck out of the captions.
        seeds: Seeds.
        rows: Rows; empty: all.
    """

    domain: str
    struck: bool = False
    seeds: Sequence[int] = (0, 1, 2)
    rows: Sequence[str] = ()

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.domain}-struck" if self.struck else self.domain


FULL = (
    Part("grocery"),
    Part("grocery", struck=True, seeds=(0,), rows=MAIN_ROWS),
    Part("clothing", seeds=(0,), rows=MAIN_ROWS),
)


def parts_of(
    domain: str | None, struck: bool, seeds: Sequence[int] | None, rows: Sequence[str] | None
) -> list[Part]:
    """The parts that a command line asks for.

    Raises:
        ValueError: If the domain does not exist.
    """
    if domain is not None and domain not in DOMAINS:
        raise ValueError(
            f"unknown domain {domain!r}{near_matches(domain, DOMAINS)}; known: {', '.join(DOMAINS)}"
        )
    if domain is None and not struck:
        plan = list(FULL)
    else:
        wanted = Part(domain or "grocery", struck)
        plan = [next((p for p in FULL if p.folder == wanted.folder), wanted)]
    return [Part(p.domain, p.struck, tuple(seeds or p.seeds), tuple(rows or p.rows)) for p in plan]


def run_plan(args: Namespace) -> list[Path]:
    """Runs what the command line asks for.

    Args:
        args: Of ``tools/reproduce_customization.py``.

    Returns:
        The folders with results.
    """
    root, folders = Path(args.work_dir), []
    for part in parts_of(args.domain, args.struck, args.seeds, args.rows):
        earlier = root / "grocery" / "retrieval" / "embeddings"
        share = None if part.struck or not (earlier / "manifest.json").is_file() else earlier
        run = MatrixRun(
            root / part.folder,
            DOMAINS[part.domain],
            (args.seeds or (0,)) if args.quick else part.seeds,
            part.rows,
            args.iterations or ((2,) if args.quick else ITERATIONS),
            part.struck,
            args.quick,
            not (args.no_dense or part.struck),
            args.lanes,
            share,
        )
        run.run()
        folders.append(run.folder)
    return folders
