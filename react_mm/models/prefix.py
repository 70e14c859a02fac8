"""The part of a customized image tower that no training changes."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from react_mm.checkpoints import content_hash
from react_mm.models.clip import CLIP


def check_prefix(model: CLIP) -> None:
    """Refuses a model without a frozen prefix.

    Raises:
        TypeError: If the tower offers none (``prefix``).
        ValueError: If the method trains it.
    """
    tower = model.image_tower
    if not hasattr(tower, "prefix"):
        raise TypeError(f"{type(tower).__name__} offers no frozen prefix to store")
    places = {value.data_ptr() for value in tower.prefix_state().values()}
    trained = [
        name
        for name, parameter in tower.named_parameters()
        if parameter.requires_grad and parameter.data_ptr() in places
    ]
    if trained:
        raise ValueError(f"method {model.method!r} trains {trained[0]}: its prefix is not frozen")


def prefix_identity(model: CLIP) -> str:
    """Names a prefix: its frozen weights and the tower's preprocessing.

    Raises:
        TypeError, ValueError: See :func:`check_prefix`.
    """
    check_prefix(model)
    tower = model.image_tower
    weights = content_hash(tower.prefix_state())
    return f"{weights}|{json.dumps(tower.preprocess, sort_keys=True)}"


def prefix_encoder(model: CLIP) -> Callable[[np.ndarray], np.ndarray]:
    """A function from uint8 images (B, 3, H, W) to tokens, float32 (B, N, C).

    Raises:
        TypeError, ValueError: See :func:`check_prefix`.
    """
    check_prefix(model)

    @torch.no_grad()
    def _encode(images: np.ndarray) -> np.ndarray:
        data: dict[str, Any] = {"inputs": torch.from_numpy(np.ascontiguousarray(images))}
        normalised = model.data_preprocessor(data)["inputs"]
        return model.image_tower.prefix(normalised).float().cpu().numpy()

    return _encode
