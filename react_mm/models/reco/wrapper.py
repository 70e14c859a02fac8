"""A CLIP whose pooled embeddings something is made of, behind CLIP's own interface."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from react_mm.models.clip import CLIP
from react_mm.models.open_vocabulary import ClassEmbedder, OpenVocabulary
from react_mm.registry import MODELS


class ImageOrFeaturePreprocessor(BaseDataPreprocessor):
    """Images go through the base's preprocessor, batches of stored embeddings to the device alone.

    Args:
        images: The base's, or None where there is no base.
    """

    def __init__(self, images: nn.Module | None = None) -> None:
        super().__init__()
        self.images = images

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Batch on the device; ``inputs`` normalised."""
        if "inputs" in data and self.images is not None:
            return self.images(data, training)
        return dict(self.cast_data(data))


class CLIPWrapper(OpenVocabulary, BaseModel):
    """Base of models that stand where :class:`react_mm.CLIP` stands: same names, frozen towers.

    Args:
        base: Config of ``react_mm.CLIP``, the model itself, or None (training on stored
            embeddings needs no towers).

    Raises:
        ValueError: If the base is a customization in training.
    """

    def __init__(self, base: Mapping[str, Any] | CLIP | None) -> None:
        model = MODELS.build(dict(base)) if isinstance(base, Mapping) else base
        if model is not None and getattr(model, "method", "none") != "none":
            raise ValueError(
                f"{type(self).__name__}: the base has method={model.method!r}; a customized base "
                "is given by its delta"
            )
        super().__init__(ImageOrFeaturePreprocessor(getattr(model, "data_preprocessor", None)))
        self.base = model
        if model is not None:
            model.requires_grad_(False).eval()
            self.init_vocabulary(self.make_class_embedder(model), model.image_tower.embed_dim)

    def make_class_embedder(self, base: CLIP) -> ClassEmbedder:
        """What turns names into class embeddings."""
        return base.class_embedder

    def init_weights(self) -> None:
        """Does nothing: mmengine's recursion would re-initialise loaded towers."""

    def train(self, mode: bool = True) -> "CLIPWrapper":
        """The base stays in eval mode."""
        super().train(mode)
        if self.base is not None:
            self.base.eval()
        return self

    @property
    def image_tower(self) -> nn.Module:
        """The base's."""
        return self._require_base().image_tower

    @property
    def text_tower(self) -> nn.Module:
        """The base's."""
        return self._require_base().text_tower

    @property
    def logit_scale(self) -> Tensor:
        """The base's."""
        return self._require_base().logit_scale

    def _require_base(self) -> CLIP:
        if self.base is None:
            raise RuntimeError(
                f"{type(self).__name__} has no base: images and texts cannot be embedded; give "
                "base=dict(type='react_mm.CLIP', ...)"
            )
        return self.base

    def encode_image(self, images: Tensor) -> Tensor:
        """float (B, 3, H, W), normalised by mean and std -> float (B, D)."""
        return self._require_base().encode_image(images)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """N strings -> float (N, D)."""
        return self._require_base().encode_text(texts)

    def identity(self) -> dict[str, Any]:
        """See :meth:`react_mm.CLIP.identity`."""
        return self._require_base().identity()

    def forward(self, inputs: Tensor | None = None, mode: str = "tensor", **batch: Any) -> Any:
        """mmengine's entry; ``inputs`` is absent where the batch holds stored embeddings."""
        if mode == "loss":
            return self.loss(**batch)
        if mode == "predict":
            return self.predict(inputs, **batch)
        return self.encode_image(inputs)

    def loss(self, **batch: Any) -> dict[str, Tensor]:
        """Nothing trains here."""
        raise RuntimeError(f"{type(self).__name__} has nothing to train")

    @torch.no_grad()
    def predict(self, inputs: Tensor, **batch: Any) -> list[dict[str, Any]]:
        """As :meth:`react_mm.CLIP.predict`, from this model's embeddings."""
        return CLIP.predict(self, inputs, **batch)
