"""A model as the encoder callable that retrieval is handed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from react_mm.models.clip import CLIP
from react_mm.registry import MODELS


class Encoder:
    """Images and texts to L2-normalised embeddings (protocol: ``retrieval.embeddings``).

    Args:
        model: The two towers.
        device: Where to run them.

    Attributes:
        identity: See :meth:`react_mm.models.clip.CLIP.identity`.
        dimension: D.
    """

    def __init__(self, model: CLIP, device: str = "cpu") -> None:
        from react_mm.datasets.transforms import eval_transform

        self.model = model.to(device).eval()
        self.device = device
        self.identity: dict[str, Any] = model.identity()
        self.dimension: int = model.image_tower.embed_dim
        self._transform = eval_transform(model.image_tower.preprocess)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """A decoded RGB image -> uint8 (3, H, W) at the tower's input size."""
        return np.asarray(self._transform(image))

    @torch.no_grad()
    def encode_images(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (B, 3, H, W) -> float32 (B, D), L2-normalised."""
        data = {"inputs": torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)}
        images = self.model.data_preprocessor(data)["inputs"]
        return F.normalize(self.model.encode_image(images).float(), dim=-1).cpu().numpy()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """N strings -> float32 (N, D), L2-normalised."""
        return F.normalize(self.model.encode_text(list(texts)).float(), dim=-1).cpu().numpy()


def build_encoder(model: dict, device: str = "cpu") -> Encoder:
    """Builds the encoder of a model config (``dict(type='react_mm.CLIP', ...)``)."""
    return Encoder(MODELS.build(dict(model)), device)
