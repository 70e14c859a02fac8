"""RECO (arXiv 2306.07196): a frozen CLIP refines its embeddings by what it finds in a memory."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from react_mm.models.clip import CLIP
from react_mm.models.open_vocabulary import ClassEmbedder
from react_mm.models.reco.refiner import SIDES, Memory, MemoryRefiner
from react_mm.models.reco.wrapper import CLIPWrapper
from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

TERMS = ("refined_refined", "refined_original", "original_refined")
CLASS_TEXTS = ("each", "mean")


class RefinedClassEmbedder(ClassEmbedder):
    """Class embeddings of the base, each refined as a text.

    Args:
        base: The base's class embedder.
        refiner: What refines.
    """

    def __init__(self, base: ClassEmbedder, refiner: MemoryRefiner) -> None:
        super().__init__(base.text_tower, base.templates, base.batch_size, base.cache_dir)
        self.refiner = refiner

    def embed_names(self, names: Sequence[str]) -> Tensor:
        """float32 (N, D), L2-normalised, on the CPU."""
        return self.refiner.refine(super().embed_names(names), "text")


@MODELS.register_module()
class RECO(CLIPWrapper):
    """Refined embeddings behind :class:`react_mm.CLIP`'s interface, and their training.

    Training needs no base: batches are stored embeddings with their neighbours
    (:class:`react_mm.RecoFeatures`). The loss is the mean of InfoNCE over (refined, refined),
    (refined, original) and (original, refined) embeddings of images and texts (the paper's set of
    terms; their weights and the temperature are not known from it).

    Args:
        fusion: See :class:`MemoryRefiner`.
        base: Config of ``react_mm.CLIP``; a customized one by its ``delta``, with a memory that was
            embedded with it.
        memory: See :class:`MemoryRefiner`; its encoder must be the base's.
        k: Neighbours per query.
        search: 'uni' or 'cross'.
        fuse: 'cross' or 'uni'.
        sides: Sides that are refined.
        weights: ``reco.safetensors`` with its card beside it.
        class_texts: ``each``: every prompt of a class is refined, then they are averaged;
            ``mean``: the average of the prompts is (one search per class).
        temperature: Of the InfoNCE, fixed: only the fusions train.
        term_weights: Of :data:`TERMS`.
        loss: Config of the contrastive loss; with ``react_mm.LabelAwareInfoNCE`` pairs of one
            caption are one concept.

    Raises:
        ValueError: If an argument does not fit.
        react_mm.manifest.ManifestError: If the memory was filled by another encoder than the base.
    """

    def __init__(
        self,
        fusion: Mapping[str, Any],
        base: Mapping[str, Any] | CLIP | None = None,
        memory: Mapping[str, Any] | Memory | None = None,
        k: int = 10,
        search: str = "uni",
        fuse: str = "cross",
        sides: Sequence[str] = SIDES,
        weights: str | None = None,
        class_texts: str = "each",
        temperature: float = 0.05,
        term_weights: Sequence[float] = (1.0, 1.0, 1.0),
        loss: Mapping[str, Any] | None = None,
    ) -> None:
        if class_texts not in CLASS_TEXTS:
            raise ValueError(
                f"RECO: class_texts is one of {', '.join(CLASS_TEXTS)}, not {class_texts!r}"
                f"{near_matches(class_texts, CLASS_TEXTS)}"
            )
        if temperature <= 0 or len(term_weights) != len(TERMS) or min(term_weights) < 0:
            raise ValueError(
                f"RECO: temperature={temperature} must be above 0, term_weights="
                f"{tuple(term_weights)} three weights of at least 0 (of {', '.join(TERMS)})"
            )
        self.class_texts = class_texts
        refiner = MemoryRefiner(fusion, memory, k, search, fuse, sides, weights)
        super().__init__(base)
        self.refiner = refiner
        if self.base is not None:
            self.class_embedder = self.make_class_embedder(self.base)
            if not next(self.base.parameters()).is_meta:
                refiner.check_encoder(self.base.identity())
        self.temperature, self.term_weights = temperature, tuple(term_weights)
        self.contrastive = MODELS.build(dict(loss or {"type": "react_mm.InfoNCE"}))

    def make_class_embedder(self, base: CLIP) -> ClassEmbedder:
        """Names to refined class embeddings; the plain one while the refiner is not there yet."""
        own, refiner = base.class_embedder, getattr(self, "refiner", None)
        if refiner is None:
            return own
        if self.class_texts == "mean":
            return RefinedClassEmbedder(own, refiner)
        return ClassEmbedder(self, own.templates, own.batch_size)

    def set_memory(self, memory: Mapping[str, Any] | Memory | None) -> None:
        """Another memory from now on, also for the classes that are set; nothing is trained anew.

        Raises:
            react_mm.manifest.ManifestError: If it was filled by another encoder.
        """
        self.refiner.set_memory(memory)
        self._refresh()

    def set_gate_scale(self, scale: float | Sequence[float]) -> None:
        """Gate scale of the base's customization.

        Raises:
            ValueError, react_mm.manifest.ManifestError: If fusions or memory were made with the
                base at another gate scale: then it is another encoder.
        """
        base = self._require_base()
        base.set_gate_scale(scale)
        self.refiner.check_encoder(base.identity())
        self._refresh()

    def _refresh(self) -> None:
        if self.base is not None:
            self.class_embedder.forget()
        if self.vocabulary is not None:
            self.set_vocabulary(self.vocabulary)

    def encode_image(self, images: Tensor) -> Tensor:
        """float (B, 3, H, W), normalised by mean and std -> refined float (B, D), L2-normalised."""
        return self.refiner.refine(super().encode_image(images), "image")

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """N strings -> refined float (N, D), L2-normalised."""
        return self.refiner.refine(super().encode_text(texts), "text")

    def fuse_batch(self, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], ...]:
        """Original and refined embeddings of a batch of :class:`react_mm.RecoFeatures`.

        Args:
            batch: For each side S ``S`` float (B, D), ``S_neighbours`` float (B, k, D),
                ``S_scores`` float (B, k), ``S_there`` bool (B, k).

        Returns:
            ``{'image', 'text'}`` float (B, D), L2-normalised: the originals, and the refined ones;
            a side that is not refined is the same in both.

        Raises:
            ValueError: If the embeddings are not of the fusions' dimension.
        """
        original, refined = {}, {}
        for side in SIDES:
            fusion, query = self.refiner.fusions[side], batch[side].float()
            if fusion.dim is not None and query.shape[-1] != fusion.dim:
                raise ValueError(
                    f"the embeddings have {query.shape[-1]} dimensions, the fusion {fusion.dim}: "
                    "set model.fusion.dim"
                )
            original[side] = refined[side] = F.normalize(query, dim=-1)
            if side in self.refiner.sides:
                rest = (batch[f"{side}_{name}"] for name in ("neighbours", "scores", "there"))
                refined[side], _ = fusion(original[side], *rest)
        return original, refined

    def loss(self, **batch: Any) -> dict[str, Tensor]:
        """The three InfoNCE terms on stored embeddings, each times its weight over their sum."""
        original, refined = self.fuse_batch(batch)
        arms = {"refined": refined, "original": original}
        total, losses = sum(self.term_weights), {}
        scale = torch.tensor(1 / self.temperature, device=original["image"].device)
        for term, weight in zip(TERMS, self.term_weights, strict=True):
            if weight:
                image, text = (arms[name] for name in term.split("_"))
                value = self.contrastive(
                    image["image"], text["text"], scale, batch.get("caption_id")
                )
                losses[f"loss_{term}"] = weight / total * value
        return losses

    @torch.no_grad()
    def predict(self, inputs: Tensor | None = None, **batch: Any) -> list[dict[str, Any]]:
        """As :meth:`react_mm.CLIP.predict`; without ``inputs``, of stored embeddings.

        Returns:
            For stored embeddings one dict per pair: ``image_embedding`` float (D,),
            ``text_embedding`` float (1, D), refined and L2-normalised, and ``key``.
        """
        if inputs is not None:
            return super().predict(inputs, **batch)
        _, refined = self.fuse_batch(batch)
        image, text = refined["image"].cpu(), refined["text"].cpu()
        keys = batch.get("key", [""] * len(image))
        return [
            {"image_embedding": image[i], "text_embedding": text[i][None], "key": str(key)}
            for i, key in enumerate(keys)
        ]

    def identity(self) -> dict[str, Any]:
        """As :meth:`react_mm.CLIP.identity`: base, fusions, memory and k decide."""
        base, own = super().identity(), self.refiner.describe()
        text = json.dumps([base["weights_hash"], own], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return {**base, "weights_hash": digest, "reco": own}

    def delta_state(self) -> dict[str, Tensor]:
        """The fusions' weights."""
        return dict(self.refiner.fusions.state_dict())

    def delta_card(self) -> dict[str, Any]:
        """Card of :meth:`delta_state`; the export hook adds what the training set says."""
        return {
            "base": {"image_hash": "of RECO: see the field encoder"},
            "method": "reco",
            "method_options": {
                "fusion": self.refiner.config,
                "search": self.refiner.search,
                "fuse": self.refiner.fuse,
                "k": self.refiner.k,
                "temperature": self.temperature,
                "term_weights": list(self.term_weights),
            },
            "image_tensors": [],
            "trainable_parameters": sum(p.numel() for p in self.parameters() if p.requires_grad),
        }
