"""A pool to sharded fp16 embeddings, with any encoder; resumable unit by unit.

The layout is clip-retrieval's (``img_emb/``, ``text_emb/``, ``metadata/``), with ``manifest.json``
and ``rejected.parquet`` beside it. A unit of work is finished when its ``parts/part_NNNN.json``
exists, which is written last; a killed run therefore redoes only the units it was working on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from react_mm.manifest import Manifest, ManifestError, differences, read_json
from react_mm.retrieval.encoding import EmbedSettings, Encoder
from react_mm.retrieval.readers import Unit
from react_mm.retrieval.records import read_parquet, write_parquet
from react_mm.retrieval.unit_embedding import card_path, embed_unit, unit_names

__all__ = ["EmbedSettings", "Encoder", "embed_pool"]


def embed_pool(
    units: Sequence[Unit],
    encoder: Encoder,
    folder: str | Path,
    settings: EmbedSettings | None = None,
    progress: bool = True,
) -> Manifest:
    """Embed every unit that is not finished, then write ``manifest.json`` and ``rejected.parquet``.

    Args:
        units: The pool, from :func:`~.readers.list_pool`.
        encoder: The model.
        folder: Output folder; the caller holds its lock.
        settings: How to embed.
        progress: Whether to show a progress bar.

    Returns:
        The complete manifest; ``facts`` holds read, kept, rejected by reason, rows and units.

    Raises:
        ManifestError: If the folder holds embeddings of other settings and ``on_change='refuse'``.
        ValueError: If no pair of the pool can be used, or the encoder breaks its contract.
    """
    folder, settings = Path(folder), settings or EmbedSettings()
    recorded = {"encoder": encoder.identity, **settings.recorded()}
    manifest = Manifest(folder, "embed", recorded)
    _check_settings(manifest, settings)
    cards = [_finished_card(folder, unit) for unit in units]
    left = [unit for unit, card in zip(units, cards, strict=True) if card is None]
    if not left and (current := _complete(folder, manifest, units, cards)):
        return current
    manifest.save(complete=False)
    bar = tqdm(
        total=sum(card["read"] for card in cards if card),
        initial=sum(card["read"] for card in cards if card),
        unit="pair",
        desc=f"embed ({len(units) - len(left)} of {len(units)} parts done)",
        disable=not progress,
    )
    with bar, ThreadPoolExecutor(settings.workers) as pool:
        for number, unit in enumerate(left):
            cards[unit.number] = embed_unit(unit, encoder, folder, settings, pool, bar)
            done = len(units) - len(left) + number + 1
            bar.set_description(f"embed ({done} of {len(units)} parts done)")
    return _finish(folder, manifest, cards, encoder.dimension)


def _check_settings(manifest: Manifest, settings: EmbedSettings) -> None:
    """Refuse or clear embeddings of other settings."""
    try:
        old = Manifest.load(manifest.folder)
    except ManifestError:
        return
    changed = differences(old.settings, manifest.settings)
    if not changed:
        return
    if settings.on_change == "refuse":
        raise ManifestError(
            f"{manifest.folder} holds embeddings made otherwise: {'; '.join(changed)}. Choose "
            "another work_dir, or set embed.on_change='redo' to embed the pool again"
        )
    for card in (manifest.folder / "parts").glob("part_*.json"):
        card.unlink()


def _finished_card(folder: Path, unit: Unit) -> dict[str, Any] | None:
    """The card of a unit that is done and whose source has not changed since."""
    path = card_path(folder, unit.number)
    if not path.is_file():
        return None
    card = read_json(path)
    whole = all(
        (folder / name).is_file() and (folder / name).stat().st_size == entry["bytes"]
        for name, entry in card["files"].items()
    )
    if not whole or card["source"] != unit.name:
        return None
    if card["fingerprint"] != unit.fingerprint() and card["content"] != unit.content_hash():
        return None
    return card


def _facts(
    cards: Sequence[Mapping[str, Any]], identity: Mapping[str, Any], dimension: int
) -> dict[str, Any]:
    """Counts over all units; ``read = kept + rejected`` is asserted."""
    reasons: Counter[str] = Counter()
    for card in cards:
        reasons.update(card["rejected"])
    read, kept = (sum(card[name] for card in cards) for name in ("read", "kept"))
    if read != kept + sum(reasons.values()):
        raise ManifestError(f"counts do not add up: {read} read, {kept} kept, {dict(reasons)}")
    names = ("number", "source", "content", "read", "kept", "rejected")
    return {
        "encoder": dict(identity),
        "dimension": dimension,
        "read": read,
        "kept": kept,
        "rejected": dict(sorted(reasons.items())),
        "rows": kept,
        "units": [{name: card[name] for name in names} for card in cards],
    }


def _complete(
    folder: Path,
    manifest: Manifest,
    units: Sequence[Unit],
    cards: Sequence[dict[str, Any] | None],
) -> Manifest | None:
    """The manifest on disk, if it is complete and lists just these units."""
    try:
        old = Manifest.load(folder)
    except ManifestError:
        return None
    if not old.complete or old.settings != manifest.settings:
        return None
    content = [unit["content"] for unit in old.facts["units"]]
    return old if content == [card["content"] for card in cards if card] else None


def _finish(
    folder: Path, manifest: Manifest, cards: Sequence[dict[str, Any] | None], dimension: int
) -> Manifest:
    """Join the units' cards and ledgers."""
    done = [card for card in cards if card is not None]
    manifest.facts = _facts(done, manifest.settings["encoder"], dimension)
    if not manifest.facts["kept"]:
        raise ValueError(f"no pair of the pool can be used; rejected: {manifest.facts['rejected']}")
    for stale in sorted((folder / "parts").glob("part_*.json")):
        if int(stale.stem.rpartition("_")[2]) >= len(done):
            for name in read_json(stale)["files"]:
                (folder / name).unlink(missing_ok=True)
            stale.unlink()
    for card in done:
        manifest.files |= card["files"]
    parts = [read_parquet(folder / unit_names(card["number"])["rejected"]) for card in done]
    ledger = pa.concat_tables(parts)
    write_parquet(folder / "rejected.parquet", ledger)
    manifest.add(folder / "rejected.parquet", ledger.num_rows)
    manifest.save(complete=True)
    return manifest
