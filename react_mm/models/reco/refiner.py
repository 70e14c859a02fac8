"""Embeddings of images, texts or regions refined by a memory, in batches of any size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.checkpoints import content_hash, load_delta
from react_mm.manifest import differences
from react_mm.models.reco.fusion import build_fusion
from react_mm.registry import DATASETS

SIDES = ("image", "text")


class Memory(Protocol):
    """What RECO asks of a memory (:class:`react_mm.PairMemory`; models never import it)."""

    digest: str

    def __call__(
        self, embeddings: np.ndarray, k: int, side: str, search: str, fuse: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float32 (Q, D) -> rows int64 (Q, k), scores (Q, k), embeddings float32 (Q, k, D)."""

    def check_encoder(self, identity: dict[str, Any]) -> None:
        """Raises if the memory was filled by another encoder."""

    def describe(self) -> dict[str, Any]:
        """For cards."""


@dataclass(frozen=True)
class Refined:
    """Refined embeddings and what moved them.

    Attributes:
        embeddings: float (N, D), L2-normalised.
        rows: int64 (N, k) numpy, rows of the memory, best first, -1 for none.
        scores: float (N, k), similarity of query and key.
        weights: float (N, k), share of each neighbour in the fusion.
    """

    embeddings: Tensor
    rows: np.ndarray
    scores: Tensor
    weights: Tensor


class MemoryRefiner(nn.Module):
    """Two fusions, one per side, and a memory.

    Args:
        fusion: Config of a fusion, built once per side; or ``dict(image=..., text=...)``.
        memory: Config of a memory (``dict(type='react_mm.PairMemory', folder=...)``), a callable
            (:class:`Memory`), or None until :meth:`set_memory`.
        k: Neighbours per query; it may be another than in training.
        search: 'uni' or 'cross': by which modality's keys.
        fuse: 'cross' or 'uni': which modality's embeddings are fused.
        sides: Sides that are refined; the other keeps its original embeddings.
        weights: Trained fusions (``reco.safetensors`` with its card).
        encoder: Identity of the encoder of the queries; memory and weights must have the same.
            None: not known yet, see :meth:`check_encoder`.
        batch_size: Queries searched and fused at once; no influence on the result.

    Raises:
        ValueError: If a side is unknown, or weights do not fit the fusion, the encoder or the ways.
        react_mm.manifest.ManifestError: If the memory was filled by another encoder.
    """

    def __init__(
        self,
        fusion: Mapping[str, Any],
        memory: Mapping[str, Any] | Memory | None = None,
        k: int = 10,
        search: str = "uni",
        fuse: str = "cross",
        sides: Sequence[str] = SIDES,
        weights: str | None = None,
        encoder: dict[str, Any] | None = None,
        batch_size: int = 4096,
    ) -> None:
        super().__init__()
        unknown = [side for side in sides if side not in SIDES]
        if unknown or k < 0 or {search, fuse} - {"uni", "cross"}:
            raise ValueError(
                f"RECO: sides={tuple(sides)} are of image and text, k={k} is 0 or more, "
                f"search={search!r} and fuse={fuse!r} are 'uni' or 'cross'"
            )
        per_side = {side: fusion[side] if "image" in fusion else fusion for side in SIDES}
        self.fusions = nn.ModuleDict({side: build_fusion(per_side[side]) for side in SIDES})
        self.config = _plain(fusion)
        self.k, self.search, self.fuse, self.sides = k, search, fuse, tuple(sides)
        self.batch_size, self.encoder = batch_size, encoder
        self.memory: Memory | None = None
        self.card: dict[str, Any] = {}
        if weights is not None:
            self.load(weights)
        self.set_memory(memory)

    def set_memory(self, memory: Mapping[str, Any] | Memory | None) -> None:
        """Uses another memory from now on; nothing is trained anew.

        Raises:
            react_mm.manifest.ManifestError: If it was filled by another encoder.
        """
        if isinstance(memory, Mapping):
            memory = DATASETS.build(dict(memory))
        if memory is not None and self.encoder is not None:
            memory.check_encoder(self.encoder)
        self.memory = memory

    def check_encoder(self, identity: dict[str, Any]) -> None:
        """Compares the encoder of the queries with those of the weights and the memory.

        Raises:
            ValueError: If the fusions were trained on embeddings of another.
            react_mm.manifest.ManifestError: If the memory was filled by another.
        """
        trained = self.card.get("encoder")
        changed = differences(_plain(trained), _plain(identity)) if trained else []
        if changed:
            raise ValueError(
                "the fusions were trained on embeddings of another encoder than the base: they "
                f"differ in {'; '.join(changed)}"
            )
        if self.memory is not None:
            self.memory.check_encoder(identity)
        self.encoder = identity

    def load(self, weights: str) -> None:
        """Loads trained fusions.

        Raises:
            FileNotFoundError, ValueError: If a file is missing, damaged, no RECO weights, or the
                fusion, ``search`` or ``fuse`` of this model is another.
        """
        state, card = load_delta(weights)
        if card.get("method") != "reco":
            raise ValueError(
                f"{weights} holds a customization by {card.get('method')!r}, no fusions of RECO"
            )
        for name, own in (("search", self.search), ("fuse", self.fuse), ("fusion", self.config)):
            changed = differences(card["method_options"][name], own, name)
            if changed:
                raise ValueError(f"{weights} was trained otherwise: {'; '.join(changed)}")
        own = self.fusions.state_dict()
        wrong = sorted(
            key
            for key in {*own, *state}
            if key not in own or key not in state or own[key].shape != state[key].shape
        )
        if wrong:
            raise ValueError(f"{weights} does not fit the fusions: {wrong[:5]}")
        self.fusions.load_state_dict(state)
        self.card = card

    def refine(self, embeddings: Tensor, side: str, k: int | None = None) -> Tensor:
        """Refined embeddings, without gradient.

        Args:
            embeddings: float (N, D), any norm: of images, texts, or regions (side 'image').
            side: 'image' or 'text'.
            k: Neighbours, in place of the model's.

        Returns:
            float (N, D), L2-normalised, on the device of ``embeddings``. Embeddings of a side that
            is not refined, or of a model without a memory at k = 0, are normalised alone.

        Raises:
            RuntimeError: If neighbours are wanted and no memory is set.
        """
        return self.explain(embeddings, side, k).embeddings

    @torch.no_grad()
    def explain(self, embeddings: Tensor, side: str, k: int | None = None) -> Refined:
        """As :meth:`refine`, with the neighbours and their shares."""
        k = self.k if k is None else k
        query = F.normalize(embeddings.float(), dim=-1)
        if side not in self.sides or k == 0 or not len(query):
            empty = query.new_zeros(len(query), 0)
            return Refined(query, np.zeros((len(query), 0), np.int64), empty, empty)
        if self.memory is None:
            raise RuntimeError(
                "RECO has no memory: give memory=dict(type='react_mm.PairMemory', …)"
            )
        parts = [
            self._explain(query[i : i + self.batch_size], side, k)
            for i in range(0, len(query), self.batch_size)
        ]
        joined = [torch.cat([getattr(p, n) for p in parts]) for n in ("scores", "weights")]
        rows = np.concatenate([p.rows for p in parts])
        return Refined(torch.cat([p.embeddings for p in parts]), rows, *joined)

    def _explain(self, query: Tensor, side: str, k: int) -> Refined:
        rows, scores, found = self.memory(query.cpu().numpy(), k, side, self.search, self.fuse)
        device = query.device
        scores, found = torch.from_numpy(scores).to(device), torch.from_numpy(found).to(device)
        there = torch.from_numpy(rows >= 0).to(device)
        training = self.fusions.training
        self.fusions.eval()
        refined, weights = self.fusions[side](query, found, scores, there)
        self.fusions.train(training)
        return Refined(refined, rows, scores, weights)

    def describe(self) -> dict[str, Any]:
        """What an identity says of the refinement."""
        return {
            "fusion": content_hash(self.fusions.state_dict()),
            "config": self.config,
            "memory": None if self.memory is None else self.memory.digest,
            "k": self.k,
            "search": self.search,
            "fuse": self.fuse,
            "sides": list(self.sides),
        }


def _plain(value: Any) -> Any:
    """A config value as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if k != "_scope_"}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
