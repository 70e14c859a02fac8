"""Two towers as an mmengine model: what customization trains and every evaluation asks."""

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from react_mm.checkpoints import content_hash, read_card
from react_mm.models.cached_gradient import check_chunkable, encode_in_chunks
from react_mm.models.customization import (
    apply_delta,
    check_method,
    customize,
    image_base_hash,
    summarize_names,
    trains_text,
)
from react_mm.models.layers.gated_attention import gated_blocks
from react_mm.models.layers.lora import scaled_parts
from react_mm.models.open_vocabulary import ClassEmbedder, OpenVocabulary
from react_mm.registry import MODELS

PAIR = 0  # `role` of a pair in a batch; 1 marks a general image
RELATIONS = ("concept_id", "pair_index", "anchor")  # of pairs to each other, if the batch has them
MAX_LOGIT_SCALE = math.log(100)  # CLIP's clamp, kept by REACT's trainer


@MODELS.register_module()
class CLIP(OpenVocabulary, BaseModel):
    """CLIP-like model: image tower, text tower, customization method, losses.

    Args:
        image_tower: Config of an image tower (``react_mm.CLIPViT``, ``react_mm.LiteImageTower``).
        text_tower: Config of a text tower (``react_mm.CLIPText``, ``react_mm.LiteText``).
        method: A key of :data:`react_mm.models.customization.METHODS`.
        method_options: Options of the method, see
            :func:`react_mm.models.customization.customize`.
        delta: A stored customization to put on the image tower (evaluation of a customized model).
        gate_scale: Gate scale s in [0, 1] at inference, one or one per gated block; None: the
            delta's card, else 1.
        loss: Config of the contrastive loss.
        contrastive_weight: Factor of the contrastive loss; 0 trains by the regularizers alone.
        teacher_weight: Weight of :class:`react_mm.FrozenTeacher` on images of role 1 (general
            images of the pool).
        regularizers: Configs of further terms of the loss: modules called with (model, inputs,
            embedded, pairs, batch) as in :meth:`regularization`, which return losses by name;
            those with a method ``remember(model)`` are shown the model before it trains.
        pair_losses: Configs of further terms on the pairs: modules called with (image, text,
            relations) as in :meth:`contrastive_losses`, which return losses by name.
        chunk_size: Images (and captions) that hold activations at once, see
            :mod:`react_mm.models.cached_gradient`; None: the whole batch.
        templates: Prompt templates of the zero-shot classifier.
        data_preprocessor: Defaults to :class:`PairDataPreprocessor` with the tower's mean and std.
    """

    def __init__(
        self,
        image_tower: dict,
        text_tower: dict,
        method: str = "none",
        method_options: dict[str, Any] | None = None,
        delta: str | None = None,
        gate_scale: float | Sequence[float] | None = None,
        loss: dict | None = None,
        contrastive_weight: float = 1.0,
        teacher_weight: float = 0.0,
        regularizers: Sequence[dict] = (),
        pair_losses: Sequence[dict] = (),
        chunk_size: int | None = None,
        templates: str | Sequence[str] = "photo",
        data_preprocessor: dict | None = None,
    ) -> None:
        check_method(method, method_options)
        if delta is not None and method not in ("none",):
            raise ValueError(f"method {method!r} starts from the base; it cannot continue a delta")
        image = MODELS.build(dict(image_tower))
        super().__init__(
            data_preprocessor
            or {
                "type": "react_mm.PairDataPreprocessor",
                "mean": image.preprocess["mean"],
                "std": image.preprocess["std"],
            }
        )
        self.architecture = {"image": _plain(image_tower), "text": _plain(text_tower)}
        self.image_tower = image
        card = read_card(delta) if delta else {"method": "none"}
        if trains_text(card["method"], card.get("method_options")):
            text_tower = {**text_tower, "delta": delta}
        self.text_tower = MODELS.build(dict(text_tower))
        scale = card.get("logit_scale", self.text_tower.initial_logit_scale)
        self.logit_scale = nn.Parameter(torch.tensor(scale))
        self.method, self.method_options = method, dict(method_options or {})
        self.init_vocabulary(ClassEmbedder(self.text_tower, templates), image.embed_dim)
        self.contrastive = MODELS.build(loss or {"type": "react_mm.InfoNCE"})
        self.contrastive_weight = contrastive_weight
        self.teacher_weight = teacher_weight
        self.base_hash = image_base_hash(image) if method != "none" else None
        if delta is not None:
            apply_delta(image, delta, gate_scale)
            self._scale_text(image.gate_scale)
        elif gate_scale is not None and scaled_parts(image):  # of a released checkpoint
            image.set_gate_scale(gate_scale)
        self.trainable_names = customize(self, method, self.method_options)
        self._text_cache: Tensor | None = None
        wanted = [dict(config) for config in regularizers]
        if teacher_weight:
            wanted.insert(0, {"type": "react_mm.FrozenTeacher", "weight": teacher_weight})
        self.regularizers = nn.ModuleList(MODELS.build(config) for config in wanted)
        for regularizer in self.regularizers:
            if hasattr(regularizer, "remember"):
                regularizer.remember(self)
        self.pair_losses = nn.ModuleList(MODELS.build(dict(config)) for config in pair_losses)
        self.chunk_size = chunk_size
        # In a list, so that it is no part of the state dict.
        self._start: list[nn.Module] = []
        if wanted and method not in ("gated-image", "lora", "none"):
            self._start = [copy.deepcopy(image).requires_grad_(False).eval()]
        image.frozen = method in ("none", "locked-image")
        if method != "none":
            count = sum(p.numel() for p in self.parameters() if p.requires_grad)
            print_log(
                f"customization {method}: {count:,} trainable parameters in "
                f"{len(self.trainable_names)} tensors; text tower "
                f"{'frozen' if self.text_frozen else 'trained'}; trained: "
                + ", ".join(summarize_names(self.trainable_names)),
                logger="current",
            )

    @property
    def text_frozen(self) -> bool:
        """Whether captions may be embedded once and cached."""
        return not trains_text(self.method, self.method_options)

    def init_weights(self) -> None:
        """Does nothing: mmengine's recursion would re-initialise loaded trunks."""

    def train(self, mode: bool = True) -> "CLIP":
        """Frozen towers stay in eval mode."""
        super().train(mode)
        if self.text_frozen:
            self.text_tower.eval()
        if mode and self.chunk_size is not None:
            check_chunkable(self)
        return self

    def set_text_cache(self, embeddings: Tensor) -> None:
        """Uses stored caption embeddings, float32 (captions, D) normalised, by ``caption_id``.

        Raises:
            RuntimeError: If the text tower trains.
        """
        if not self.text_frozen:
            raise RuntimeError(f"method {self.method!r} trains the text tower: nothing to cache")
        self._text_cache = embeddings

    def set_vocabulary(self, names: Any, synonyms: Any = None) -> None:
        """See :meth:`OpenVocabulary.set_vocabulary`; a text tower in training is asked anew."""
        if not self.text_frozen:
            self.class_embedder.forget()
        super().set_vocabulary(names, synonyms)

    def encode_image(self, images: Tensor) -> Tensor:
        """float (B, 3, H, W) normalised by mean and std -> float (B, D), not L2-normalised."""
        return self.image_tower.encode_image(images)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """N strings -> float (N, D), not L2-normalised."""
        return self.text_tower.encode_text(texts)

    def set_gate_scale(self, scale: float | Sequence[float]) -> None:
        """Gate scale s in [0, 1], one or one per block: 0 is the base, 1 the customized model."""
        self.image_tower.set_gate_scale(scale)
        self._scale_text(scale)

    def _scale_text(self, scale: float | Sequence[float]) -> None:
        """Low-rank updates of the text tower follow those of the image tower."""
        updates = scaled_parts(self.text_tower)
        if updates and isinstance(scale, Sequence):
            raise ValueError(
                "one gate scale per block is not defined where the text tower has LoRA"
            )
        for update in updates:
            update.gate_scale = float(scale)
        if updates:
            self.class_embedder.forget()

    def forward(self, inputs: Tensor, mode: str = "tensor", **batch: Any) -> Any:
        """mmengine's entry; see :meth:`loss` and :meth:`predict`; ``tensor`` embeds images.

        Args:
            inputs: float (B, 3, H, W), normalised.
            mode: ``loss``, ``predict`` or ``tensor``.
            **batch: The other fields of the collated batch.
        """
        if mode == "loss":
            return self.loss(inputs, **batch)
        if mode == "predict":
            return self.predict(inputs, **batch)
        return self.encode_image(inputs)

    def loss(self, inputs: Tensor, **batch: Any) -> dict[str, Tensor]:
        """InfoNCE on the pairs (role 0) and every regularizer.

        Args:
            inputs: float (B, 3, H, W), normalised.
            **batch: ``role`` int64 (B,) (absent: all pairs); ``caption`` list of B strings, or
                ``caption_id`` int64 (B,) when a text cache is set; optional int64 (B,) that some
                losses ask for: ``concept_id``, ``pair_index``, ``anchor``.
        """
        pairs = self.pair_rows(inputs, batch)
        embedded = encode_in_chunks(self.encode_image, inputs, self.chunk_size)
        relations = {key: batch[key][pairs] for key in RELATIONS if key in batch}
        text = self.pair_texts(pairs, batch)
        losses = self.contrastive_losses(embedded[pairs], text, relations)
        losses |= self.regularization(inputs, embedded, pairs, batch)
        return losses | self.monitored()

    def pair_rows(self, inputs: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """bool (B,): the rows with a text (role 0); the others are general images (role 1)."""
        role = batch.get("role")
        if role is None:
            return torch.ones(len(inputs), dtype=torch.bool, device=inputs.device)
        return role == PAIR

    def contrastive_losses(
        self, image: Tensor, text: Tensor, relations: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The contrastive loss of P pairs, and the further terms on pairs.

        Args:
            image: float (P, D), not normalised.
            text: float (P, D), L2-normalised.
            relations: Of the pairs to each other, int64 (P,) each, see :data:`RELATIONS`.
        """
        relations = relations or {}
        with torch.no_grad():
            self.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        image = F.normalize(image.float(), dim=-1)
        scale, concept = self.logit_scale.exp(), relations.get("concept_id")
        loss = self.contrastive(image, text, scale, concept)
        losses = {"loss_contrastive": self.contrastive_weight * loss}
        for term in self.pair_losses:
            losses |= term(image, text, relations)
        return losses

    def regularization(
        self,
        inputs: Tensor,
        embedded: Tensor,
        pairs: Tensor,
        batch: Mapping[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """What holds the model back, or teaches it something besides the pairs.

        Args:
            inputs: float (B, 3, H, W), normalised.
            embedded: float (B, D), pooled embeddings of ``inputs``, not normalised.
            pairs: bool (B,), see :meth:`pair_rows`.
            batch: The other fields of the batch.
        """
        losses: dict[str, Tensor] = {}
        for regularizer in self.regularizers:
            losses |= regularizer(self, inputs, embedded, pairs, batch or {})
        return losses

    def monitored(self) -> dict[str, Tensor]:
        """Scalars for the log: temperature, mean |tanh| of the gates."""
        values = {"temperature": 1 / self.logit_scale.detach().exp()}
        gates = gated_blocks(self.image_tower)
        if gates:
            opened = torch.cat([torch.cat([g.alpha_attn, g.alpha_dense]) for g in gates])
            values["gate_mean"] = opened.detach().tanh().abs().mean()
        return values

    def pair_texts(self, pairs: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """Caption embeddings of the pairs, float (P, D), L2-normalised; from the cache if set."""
        if self._text_cache is not None:
            rows = batch["caption_id"][pairs]
            text = self._text_cache[rows.cpu()].to(pairs.device)
            return text.float()
        captions = [c for c, keep in zip(batch["caption"], pairs.tolist(), strict=True) if keep]
        text = encode_in_chunks(self.encode_text, captions, self.chunk_size)
        return F.normalize(text.float(), dim=-1)

    @contextlib.contextmanager
    def starting_tower(self) -> Iterator[nn.Module]:
        """The image tower as it was before training, without gradients.

        Gated-image and lora need no copy: the tower at gate scale 0 is the start.
        """
        with torch.no_grad():
            if self._start:
                device = next(self.image_tower.parameters()).device
                yield self._start[0].to(device)
                return
            scale = self.image_tower.gate_scale
            try:
                self.image_tower.set_gate_scale(0.0)
                yield self.image_tower
            finally:
                self.image_tower.set_gate_scale(scale)

    @torch.no_grad()
    def predict(self, inputs: Tensor, **batch: Any) -> list[dict[str, Any]]:
        """Embeds images and, when a vocabulary is set, scores its classes.

        Returns:
            One dict per image: ``image_embedding`` float (D,) L2-normalised; ``scores`` float (C,),
            logits that softmax turns into probabilities; ``text_embedding`` float (T, D) when the
            batch has ``captions`` (T texts joined by newlines); ``key``, ``label`` and ``captions``
            as they came.
        """
        image = F.normalize(self.encode_image(inputs).float(), dim=-1)
        scores = None
        if self.vocabulary is not None:
            scores = self.logit_scale.exp() * self.class_similarity(image)
        results = []
        for row in range(len(image)):
            result: dict[str, Any] = {"image_embedding": image[row].cpu()}
            if scores is not None:
                result["scores"] = scores[row].cpu()
            for key in ("key", "label", "captions"):
                if key in batch:
                    result[key] = batch[key][row]
            if "captions" in batch:
                texts = self.encode_text(batch["captions"][row].split("\n"))
                result["text_embedding"] = F.normalize(texts.float(), dim=-1).cpu()
            results.append(result)
        return results

    def identity(self) -> dict[str, Any]:
        """What an embedding of this model is: two encoders with equal identities are one.

        Returns:
            ``architecture``, ``weights_hash``, ``preprocessing``, ``normalisation``, ``dimension``.
        """
        state = {f"image.{k}": v for k, v in self.image_tower.state_dict().items()}
        state |= {f"text.{k}": v for k, v in self.text_tower.state_dict().items()}
        scales = [part.gate_scale for part in scaled_parts(self)]
        state["gate_scale"] = torch.tensor(scales)
        return {
            "architecture": self.architecture["image"].get("arch", type(self.image_tower).__name__),
            "weights_hash": content_hash(state),
            "preprocessing": _plain(self.image_tower.preprocess),
            "normalisation": "l2",
            "dimension": self.image_tower.embed_dim,
        }

    def delta_state(self) -> dict[str, Tensor]:
        """What training changed, under the towers' own (open_clip's) key names."""
        return {own_key(n): p.detach() for n, p in self.named_parameters() if p.requires_grad}

    def delta_card(self) -> dict[str, Any]:
        """Card of :meth:`delta_state`: base, method, options, trained parameters."""
        image = [own_key(n) for n in self.trainable_names if n.startswith("image_tower.")]
        return {
            "base": {"architecture": self.architecture, "image_hash": self.base_hash},
            "method": self.method,
            "method_options": _plain(
                {k: v for k, v in self.method_options.items() if k != "train_logit_scale"}
            ),
            "image_tensors": image,
            "trainable_parameters": sum(p.numel() for p in self.parameters() if p.requires_grad),
            "gate_scale": _plain(self.image_tower.gate_scale),
            "logit_scale": float(self.logit_scale.detach()),
        }


def own_key(name: str) -> str:
    """A parameter name of CLIP -> the name inside the tower's own state dict."""
    return name.removeprefix("image_tower.").removeprefix("text_tower.model.")


def _plain(value: Any) -> Any:
    """A config value as plain JSON types."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
