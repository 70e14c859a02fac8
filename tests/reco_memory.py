"""A small memory on disk for the tests of RECO: coloured pictures, their captions, any encoder."""

from __future__ import annotations

from pathlib import Path

from react_mm.retrieval.pipeline import run
from tests.test_retrieval.fake_world import HashEncoder, config, write_pool


def write_memory(folder: Path, encoder: object = None, shards: int = 2, per_shard: int = 20) -> str:
    """Embeds and indexes a pool; returns the work dir as ``tools/retrieve.py`` leaves it.

    With :class:`HashEncoder` (16 dimensions) pair i is of colour i % 6.
    """
    pool = write_pool(folder / "pool", shards, per_shard)
    settings = config(pool, folder / "work")
    run(settings, encoder or HashEncoder(), ["embed", "index"], progress=False)
    return str(folder / "work")
