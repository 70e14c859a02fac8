"""Weights on disk: loaded without executing anything, saved atomically, named by content.

A customized model is stored as the delta against its base: a safetensors file with open_clip's own
key names, and a JSON card of the same stem that names the base by hash.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from react_mm.manifest import atomic_path, read_json, write_json

PREFIXES = ("module.", "_orig_mod.")
WRAPPERS = ("state_dict", "model_state_dict", "model")


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Loads a state dict without executing anything.

    Reads ``.safetensors``, or a ``torch.save`` file with ``weights_only=True``; takes the model's
    part out of what a trainer saves (``{'state_dict': ..., 'optimizer': ...}``).

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it holds more than tensors (a TorchScript archive such as OpenAI's original
            .pt, or a pickle that would have to be executed), is damaged, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except Exception as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        check_checksums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be loaded as plain tensors (weights_only=True): {error}\n"
            "Nothing was executed. TorchScript archives (OpenAI's original .pt) and pickles with "
            "code are refused: take the safetensors of the same weights."
        ) from error
    return _state_dict_in(state, path)


def check_checksums(path: str | Path) -> None:
    """Reads a ``torch.save`` archive against the checksums it holds, which ``torch.load`` ignores.

    Raises:
        ValueError: If a part differs: a flipped bit would be trained on.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")


def _state_dict_in(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside what a trainer saved beside optimiser, scaler and counters."""
    while isinstance(content, Mapping) and any(
        isinstance(content.get(name), Mapping) for name in WRAPPERS
    ):
        content = next(content[n] for n in WRAPPERS if isinstance(content.get(n), Mapping))
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a state dict of tensors")
    others = [f"{k} ({type(v).__name__})" for k, v in content.items() if not isinstance(v, Tensor)]
    if others or not content:
        raise ValueError(
            f"{path} holds no state dict of tensors: neither it nor a part named "
            f"{', '.join(WRAPPERS)}; it has {', '.join(others[:5]) or 'nothing'}"
        )
    return dict(content)


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Removes the prefixes of wrappers (DDP, torch.compile) that stand before every key."""
    state = dict(state)
    for prefix in PREFIXES:
        while state and all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
    return state


def check_keys(model: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Refuses a state dict that does not fit ``model`` exactly, naming what differs.

    Raises:
        ValueError: With missing, unexpected and mis-shaped keys (the first few of each).
    """
    own = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} {tuple(state[k].shape)} instead of {own[k]}"
        for k in own
        if k in state and tuple(state[k].shape) != own[k]
    ]
    parts = [
        f"{len(names)} {kind}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
        )
        if names
    ]
    if parts:
        raise ValueError(f"weights do not fit: {what}; keys " + "; ".join(parts))


def content_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes in the order of the names.

    Two files with equal tensors have equal hashes, whatever their container.
    """
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: Tensor) -> memoryview:
    flat = value.reshape(-1)
    return memoryview(np.ascontiguousarray(flat.view(torch.uint8).numpy() if flat.numel() else []))


def save_state(
    path: str | Path, state: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file under a temporary name, then renames it."""
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=metadata)


def card_path(weights: str | Path) -> Path:
    """The JSON card that belongs to a weights file: same folder, same stem."""
    return Path(weights).with_suffix(".json")


def read_card(weights: str | Path) -> dict[str, Any]:
    """Reads the card of a weights file.

    Raises:
        FileNotFoundError: If there is no card beside the weights.
        ValueError: If the card is not JSON.
    """
    path = card_path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{weights} has no card: {path} does not exist")
    try:
        return read_json(path)
    except json.JSONDecodeError as error:
        raise ValueError(f"card {path} is not JSON: {error}") from error


def save_delta(model: nn.Module, path: str | Path, extra: dict[str, Any] | None = None) -> Path:
    """Writes what customization trained, and its card.

    Args:
        model: A model with ``delta_state() -> dict[str, Tensor]`` (open_clip's key names) and
            ``delta_card() -> dict`` (:class:`react_mm.models.clip.CLIP`).
        path: ``.safetensors`` file to write.
        extra: Further fields for the card (retrieved set, command, seed).

    Returns:
        The path written.
    """
    return write_delta(path, model.delta_state(), {**model.delta_card(), **(extra or {})})


def write_delta(path: str | Path, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> Path:
    """Writes a delta and its card.

    Args:
        path: ``.safetensors`` file to write.
        state: What training changed, under open_clip's key names.
        card: ``base``, ``method``, ``method_options``, ``image_tensors``, ``gate_scale``,
            ``logit_scale``; format, hash and shapes are added.

    Returns:
        The path written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a delta is a .safetensors file, not {path}")
    state = {k: v.detach().cpu() for k, v in state.items()}
    card = {
        **card,
        "format": "react_mm.delta.v1",
        "delta_hash": content_hash(state),
        "tensors": {k: list(v.shape) for k, v in state.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_state(path, state, {"format": "react_mm.delta.v1"})
    write_json(card_path(path), card)
    return path


def load_delta(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads a delta and its card, and checks the one against the other.

    Raises:
        FileNotFoundError, ValueError: If a file is missing, damaged, or the hash in the card is not
            that of the tensors (a delta and a card of two runs).
    """
    card = read_card(path)
    state = load_state(path)
    if card.get("format") != "react_mm.delta.v1":
        raise ValueError(f"{card_path(path)} is no card of a react_mm delta (field 'format')")
    if content_hash(state) != card.get("delta_hash"):
        raise ValueError(f"{path} does not hold the tensors that its card names (delta_hash)")
    return state, card
