"""Class embeddings from names: one way for classifier, detector and segmentor.

A vocabulary can be replaced at any time: the embeddings are non-persistent buffers, so that any
checkpoint loads under any vocabulary.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.class_embedding_cache import ClassEmbeddingCache, tower_hash
from react_mm.prompts import Vocabulary, render, resolve_templates
from react_mm.registry import MODELS


@MODELS.register_module()
class ClassEmbedder:
    """Turns a vocabulary into class embeddings with a text tower that is built when needed.

    Each template is embedded and normalised, the templates of one name are averaged and
    normalised again (the usual CLIP zero-shot classifier). Results are kept by name, so that a
    second vocabulary pays only for its new names, and with ``cache_dir`` on disk by texts and by
    the hash of the tower's weights, so that a later start does not run the tower.

    Args:
        text_tower: Config of a text tower, or a module with ``encode_text(list[str])``.
        templates: See :func:`react_mm.prompts.resolve_templates`.
        batch_size: Texts encoded at once.
        cache_dir: Folder of stored embeddings (:class:`ClassEmbeddingCache`); None: none.
    """

    def __init__(
        self,
        text_tower: dict | nn.Module,
        templates: str | Sequence[str] = "photo",
        batch_size: int = 256,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.text_tower = text_tower
        self.templates = resolve_templates(templates)
        self.batch_size = batch_size
        self.cache_dir = cache_dir
        self._cache: dict[str, Tensor] = {}

    def forget(self) -> None:
        """Drops the embeddings in memory: the text tower has changed."""
        self._cache.clear()

    @torch.no_grad()
    def embed_names(self, names: Sequence[str]) -> Tensor:
        """Embeds names.

        Args:
            names: N names.

        Returns:
            float32 (N, D), L2-normalised, on the CPU.
        """
        new = [name for name in dict.fromkeys(names) if name not in self._cache]
        if new:
            if isinstance(self.text_tower, Mapping):
                self.text_tower = MODELS.build(dict(self.text_tower)).eval()
            texts = {name: [render(t, name) for t in self.templates] for name in new}
            if self.cache_dir is None:
                self._cache.update(self._run_tower(texts))
            else:
                self._cache.update(self._through_disk(texts))
        return torch.stack([self._cache[name] for name in names])

    def _through_disk(self, texts: dict[str, list[str]]) -> dict[str, Tensor]:
        """Embeddings by name, from disk as far as they are there."""
        stored = ClassEmbeddingCache(self.cache_dir, tower_hash(self.text_tower))
        keys = {name: stored.key(name, own) for name, own in texts.items()}
        rows = stored.read()
        found = {name: rows[key] for name, key in keys.items() if key in rows}
        lacking = {name: own for name, own in texts.items() if name not in found}
        if lacking:
            made = self._run_tower(lacking)
            stored.add({keys[name]: row for name, row in made.items()})
            found |= made
        return found

    def _run_tower(self, texts: dict[str, list[str]]) -> dict[str, Tensor]:
        """Embeddings float32 (D,) on the CPU by name."""
        flat = [text for own in texts.values() for text in own]
        chunks = [
            F.normalize(self.text_tower.encode_text(flat[i : i + self.batch_size]).float(), dim=-1)
            for i in range(0, len(flat), self.batch_size)
        ]
        per_name = torch.cat(chunks).reshape(len(texts), len(self.templates), -1).mean(1).cpu()
        return dict(zip(texts, F.normalize(per_name, dim=-1), strict=True))

    def __call__(self, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
        """Embeds a vocabulary with its synonyms.

        Returns:
            embeddings: float32 (Q, D), L2-normalised, one row per name or synonym.
            class_of_row: int64 (Q,), the class index of each row, ascending.
        """
        names, owners = [], []
        for index, name in enumerate(vocabulary.names):
            for written in vocabulary.all_names(name):
                names.append(written)
                owners.append(index)
        return self.embed_names(names), torch.tensor(owners)


class OpenVocabulary:
    """Mixin for modules whose classes are names that may change at test time.

    The host calls :meth:`init_vocabulary` in its ``__init__`` (after ``nn.Module.__init__``).
    """

    vocabulary: Vocabulary | None = None

    def init_vocabulary(self, class_embedder: Any, embed_dim: int) -> None:
        """Registers the buffers; ``class_embedder`` is a config or a :class:`ClassEmbedder`."""
        if isinstance(class_embedder, Mapping):
            class_embedder = MODELS.build(dict(class_embedder))
        self.class_embedder = class_embedder
        self.register_buffer("class_embeddings", torch.zeros(0, embed_dim), persistent=False)
        self.register_buffer("class_of_row", torch.zeros(0, dtype=torch.long), persistent=False)

    def set_vocabulary(
        self,
        names: Vocabulary | Sequence[str],
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Replaces the vocabulary: class i is ``names[i]`` from now on.

        Raises:
            ValueError: If a name is empty or stands twice, or the text tower's dimension is not the
                image tower's.
        """
        vocabulary = Vocabulary.of(names, synonyms)
        embeddings, class_of_row = self.class_embedder(vocabulary)
        if embeddings.shape[1] != self.class_embeddings.shape[1]:
            raise ValueError(
                f"class embeddings have {embeddings.shape[1]} dimensions, the image tower has "
                f"{self.class_embeddings.shape[1]}: text and image tower are of two models"
            )
        device = self.class_embeddings.device
        self.class_embeddings = embeddings.to(device)
        self.class_of_row = class_of_row.to(device)
        self.vocabulary = vocabulary

    @property
    def num_vocabulary(self) -> int:
        """Number of classes of the present vocabulary; 0 before one is set."""
        return 0 if self.vocabulary is None else len(self.vocabulary)

    def class_similarity(self, embeddings: Tensor) -> Tensor:
        """Cosine of embeddings with every class; a class with synonyms takes its best name.

        Args:
            embeddings: float (..., D), any norm.

        Returns:
            float (..., C) in [-1, 1].

        Raises:
            RuntimeError: If no vocabulary has been set.
        """
        if self.vocabulary is None:
            raise RuntimeError("no vocabulary: call set_vocabulary(names) or use VocabularyHook")
        rows = F.normalize(embeddings, dim=-1) @ self.class_embeddings.to(embeddings.dtype).T
        if rows.shape[-1] == len(self.vocabulary):
            return rows
        shape = (*rows.shape[:-1], len(self.vocabulary))
        best = rows.new_full(shape, -2.0)
        return best.scatter_reduce(-1, self.class_of_row.expand_as(rows), rows, "amax")
