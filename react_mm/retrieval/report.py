"""What a retrieved set looks like: counts, scores, rejections, a gallery per concept, in HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from react_mm.manifest import atomic_path
from react_mm.retrieval.decoding import Limits, decode_image
from react_mm.retrieval.export import render_template, source_of, stored_image

PICTURES_PER_CONCEPT = 8
PICTURE_SIDE = 96


def write_report(
    path: str | Path,
    choice: pa.Table,
    concepts: Mapping[str, Mapping[str, int]],
    rules: list[dict[str, Any]],
    facts: Mapping[str, Any],
    order_by: str = "standard_score",
) -> None:
    """Write ``report/index.html``: one file, pictures inside.

    Args:
        path: The HTML file.
        choice: Selected pairs, :data:`~.records.CHOICE_SCHEMA`.
        concepts: Per concept: pairs ``hit`` and ``selected``.
        rules: Per rule: ``rule, before, removed, after``.
        facts: Name -> value lines for the head of the report.
        order_by: 'standard_score' or 'score': what comes first in a gallery.
    """
    sections = []
    for concept, counts in concepts.items():
        mine = choice.filter(pc.equal(choice["concept"], concept))
        scores = mine["best_score"].to_numpy()
        first = scores if order_by == "score" else mine["standard_score"].to_numpy()
        best = np.lexsort((mine["row"].to_numpy(), -first))
        pictures = mine.take(pa.array(best[:PICTURES_PER_CONCEPT])).to_pylist()
        sections.append(
            {
                "concept": concept,
                **counts,
                "median": float(np.median(scores)) if len(scores) else None,
                "pictures": [{**row, "data": _thumbnail(row)} for row in pictures],
            }
        )
    text = render_template("report.html.jinja", sections=sections, rules=rules, facts=facts)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _thumbnail(row: Mapping[str, Any]) -> dict[str, str]:
    """A small JPEG as base64, with its source."""
    image = decode_image(stored_image(row), Limits())
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return {"jpeg": base64.b64encode(buffer.getvalue()).decode(), "source": source_of(row)}
