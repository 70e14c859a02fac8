"""Concepts and prompt templates to queries with stable ids.

Every name x every template is a query of its own, as REACT does (microsoft/react, react_retrieval);
template embeddings are not averaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from react_mm.prompts import Vocabulary, read_concepts, render, resolve_templates
from react_mm.retrieval.encoding import Encoder
from react_mm.retrieval.records import Query


def make_queries(
    concepts: str | Path | Sequence[str] | Vocabulary,
    templates: str | Sequence[str] = "photo",
    synonyms: bool = False,
) -> list[Query]:
    """Make the queries of a concept list.

    Args:
        concepts: A text file, its lines, or a vocabulary.
        templates: Name of a set of templates, or the templates.
        synonyms: Whether a concept's synonyms are queried too.

    Returns:
        One query per distinct text of each concept, in the given order. The id is a hash of concept
        and text, so that it does not depend on the rest of the list.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the list is empty or holds a name twice, or a template is malformed.
    """
    vocabulary = concepts if isinstance(concepts, Vocabulary) else read_concepts(concepts)
    queries: dict[str, Query] = {}
    for concept in vocabulary.names:
        for name in vocabulary.all_names(concept) if synonyms else (concept,):
            for template in resolve_templates(templates):
                text = render(template, name)
                key = hashlib.sha256(f"{concept}\0{text}".encode()).hexdigest()[:16]
                queries.setdefault(key, Query(key, concept, template, text))
    return list(queries.values())


def encode_queries(queries: Sequence[Query], encoder: Encoder, batch_size: int = 64) -> np.ndarray:
    """Embed queries in batches cut by position.

    Args:
        queries: The queries.
        encoder: The model.
        batch_size: Queries per batch.

    Returns:
        float32 (Q, D), L2-normalised.

    Raises:
        ValueError: If the encoder returns rows of another shape.
    """
    rows = []
    for first in range(0, len(queries), batch_size):
        texts = [query.text for query in queries[first : first + batch_size]]
        block = np.asarray(encoder.encode_texts(texts), np.float32)
        if block.shape != (len(texts), encoder.dimension):
            wanted = (len(texts), encoder.dimension)
            raise ValueError(f"the encoder's encode_texts returned {block.shape}, not {wanted}")
        rows.append(block)
    return np.concatenate(rows)
