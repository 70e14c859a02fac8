"""One unit of work of a pool to its files: decode in threads, encode in fixed batches, write."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from react_mm.manifest import atomic_path, sha256_bytes, sha256_file, write_json
from react_mm.retrieval.decoding import (
    BAD_EMBEDDING,
    Limits,
    Rejected,
    decode_caption,
    decode_image,
)
from react_mm.retrieval.encoding import EmbedSettings, Encoder
from react_mm.retrieval.readers import Unit, read_bytes
from react_mm.retrieval.records import (
    METADATA_SCHEMA,
    REJECTED_SCHEMA,
    Sample,
    table_of,
    write_parquet,
)


def unit_names(number: int) -> dict[str, str]:
    """Relative names of a unit's files.

    Args:
        number: The unit's number.

    Returns:
        Names of its image rows, text rows, metadata and rejected samples.
    """
    return {
        "image": f"img_emb/img_emb_{number:04d}.npy",
        "text": f"text_emb/text_emb_{number:04d}.npy",
        "metadata": f"metadata/metadata_{number:04d}.parquet",
        "rejected": f"rejected/rejected_{number:04d}.parquet",
    }


def card_path(folder: Path, number: int) -> Path:
    """Where the card of a unit lies, which is written last."""
    return folder / "parts" / f"part_{number:04d}.json"


@dataclasses.dataclass
class _Prepared:
    """A decoded sample: pixels uint8 (3, H, W), or why not."""

    sample: Sample
    pixels: np.ndarray | None = None
    caption: str = ""
    size: tuple[int, int] = (0, 0)
    sha256: str = ""
    reason: str = ""
    detail: str = ""


def _prepare(sample: Sample, encoder: Encoder, limits: Limits) -> _Prepared:
    """Read, check and decode one sample; never raises for a bad one."""
    if sample.reason:
        return _Prepared(sample, reason=sample.reason, detail=sample.detail)
    try:
        caption = decode_caption(sample.caption, limits)
        data = read_bytes(sample)
        image = decode_image(data, limits)
    except Rejected as error:
        return _Prepared(sample, reason=error.reason, detail=error.detail)
    try:
        pixels = encoder.prepare(image)
    except Exception as error:
        raise RuntimeError(
            f"{sample.image_path} {sample.member}: the encoder's prepare failed"
        ) from error
    return _Prepared(sample, pixels, caption, image.size, sha256_bytes(data))


def _batches(
    samples: Sequence[Sample],
    encoder: Encoder,
    settings: EmbedSettings,
    pool: ThreadPoolExecutor,
) -> Iterator[list[_Prepared]]:
    """Decoded batches in order; the next ones are decoded while one is encoded."""
    size, ahead = settings.batch_size, 2
    waiting: list[list[Future[_Prepared]]] = []
    for first in range(0, len(samples), size):
        waiting.append(
            [
                pool.submit(_prepare, sample, encoder, settings.limits)
                for sample in samples[first : first + size]
            ]
        )
        if len(waiting) > ahead:
            yield [future.result() for future in waiting.pop(0)]
    for futures in waiting:
        yield [future.result() for future in futures]


def embed_unit(
    unit: Unit,
    encoder: Encoder,
    folder: Path,
    settings: EmbedSettings,
    pool: ThreadPoolExecutor,
    bar: tqdm | None = None,
) -> dict[str, Any]:
    """Embed one unit and write its four files, then its card.

    Args:
        unit: What to embed.
        encoder: The model.
        folder: Output folder.
        settings: How to embed.
        pool: Threads for reading and decoding.
        bar: Progress bar in pairs, if any.

    Returns:
        The card: source, content, fingerprint, read, kept, rejected by reason, files.
    """
    fingerprint, content = unit.fingerprint(), unit.content_hash()
    card_path(folder, unit.number).unlink(missing_ok=True)  # from here on the unit is unfinished
    samples = unit.samples()
    if bar is not None:
        bar.total = (bar.total or 0) + len(samples)
    images, texts, kept, rejected = [], [], [], []
    for batch in _batches(samples, encoder, settings, pool):
        image, text = _encode(batch, encoder)
        for slot, item in enumerate(batch):
            if item.reason:
                rejected.append(item)
                continue
            kept.append(item)
            images.append(image[slot])
            texts.append(text[slot])
        if bar is not None:
            bar.update(len(batch))
    if unit.fingerprint() != fingerprint:
        raise RuntimeError(f"{unit.name} was changed while it was being embedded; run again")
    if len(samples) != len(kept) + len(rejected):
        raise RuntimeError(f"{unit.name}: {len(samples)} read, {len(kept)} + {len(rejected)} found")
    reasons = dict(sorted(Counter(item.reason for item in rejected).items()))
    card = {"number": unit.number, "source": unit.name, "fingerprint": fingerprint}
    card |= {"content": content, "read": len(samples), "kept": len(kept), "rejected": reasons}
    card["files"] = _write_unit(folder, unit, encoder.dimension, images, texts, kept, rejected)
    write_json(card_path(folder, unit.number), card)
    return card


def _encode(batch: list[_Prepared], encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """Embed the batch's slots; rejected slots are blank, so that they move no neighbour's bits.

    Returns:
        Image and text rows, fp16 (len(batch), D); rows of rejected slots are meaningless. Slots
        whose embedding is not finite become rejected.
    """
    shape = next((item.pixels.shape for item in batch if not item.reason), None)
    if shape is None:
        blank = np.zeros((len(batch), encoder.dimension), np.float16)
        return blank, blank
    pixels = np.zeros((len(batch), *shape), np.uint8)
    for slot, item in enumerate(batch):
        if not item.reason:
            pixels[slot] = item.pixels
            item.pixels = None
    captions = [item.caption if not item.reason else "" for item in batch]
    rows = (encoder.encode_images(pixels), encoder.encode_texts(captions))
    for kind, row in zip(("encode_images", "encode_texts"), rows, strict=True):
        if row.shape != (len(batch), encoder.dimension):
            wanted = (len(batch), encoder.dimension)
            raise ValueError(f"the encoder's {kind} returned {row.shape} instead of {wanted}")
        norms = np.linalg.norm(row, axis=1)
        for item, norm in zip(batch, norms, strict=True):
            if item.reason:
                continue
            if not np.isfinite(norm) or norm == 0:
                item.reason, item.detail = BAD_EMBEDDING, f"norm {norm} from {kind}"
            elif abs(norm - 1) > 1e-2:
                raise ValueError(f"the encoder's {kind} returned rows of norm {norm:.3f}, not 1")
    return rows[0].astype(np.float16), rows[1].astype(np.float16)


def _write_unit(
    folder: Path,
    unit: Unit,
    dimension: int,
    images: list[np.ndarray],
    texts: list[np.ndarray],
    kept: list[_Prepared],
    rejected: list[_Prepared],
) -> dict[str, dict[str, Any]]:
    """Write a unit's files and return ``name -> {bytes, sha256, rows}``."""
    names = unit_names(unit.number)
    for kind, rows in (("image", images), ("text", texts)):
        array = np.array(rows, np.float16).reshape(len(rows), dimension)
        with atomic_path(folder / names[kind]) as temporary:
            np.save(temporary, array)
    metadata = [_metadata_row(item) for item in kept]
    write_parquet(folder / names["metadata"], table_of(metadata, METADATA_SCHEMA))
    ledger = [
        {
            "shard": unit.number,
            "position": item.sample.position,
            "source": unit.name,
            "key": item.sample.key.encode("utf-8", "replace").decode(),
            "reason": item.reason,
            "detail": item.detail.encode("utf-8", "replace").decode(),
        }
        for item in rejected
    ]
    write_parquet(folder / names["rejected"], table_of(ledger, REJECTED_SCHEMA))
    return {
        name: {
            "bytes": (folder / name).stat().st_size,
            "sha256": sha256_file(folder / name),
            "rows": len(ledger) if kind == "rejected" else len(kept),
        }
        for kind, name in names.items()
    }


def _metadata_row(item: _Prepared) -> dict[str, Any]:
    """One row of the metadata table."""
    sample = item.sample
    row = {name: getattr(sample, name) for name in ("image_path", "member", "offset", "size")}
    row |= {"key": sample.key, "caption": item.caption, "url": sample.url}
    row |= {"width": item.size[0], "height": item.size[1], "sha256": item.sha256}
    return row | {"position": sample.position}
