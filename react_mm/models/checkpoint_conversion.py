"""Conversions between deltas, the official REACT checkpoints and plain open_clip state dicts.

All of them work on state dicts: no model is held in memory beside the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from react_mm.checkpoints import (
    card_path,
    check_keys,
    load_delta,
    read_card,
    save_state,
    write_delta,
)
from react_mm.manifest import atomic_path, write_json
from react_mm.models.backbones.open_clip_tower import image_tower_type
from react_mm.models.customization import LOGIT_SCALE
from react_mm.models.layers.lora import is_lora_key, merge_lora_state
from react_mm.models.official_checkpoints import (
    base_state,
    fold_gate_scale,
    gate_layout,
    image_hash,
    meta_model,
    read_whole,
    split_gates,
)

SCALARS = (LOGIT_SCALE, "logit_bias")  # of neither tower
NO_PLACE = (
    "a gated-image model has blocks that plain open_clip has no place for: convert it to official, "
    "or train locked-text or lora, which merge"
)
WHAT_CHANGED = {
    (True, False): "locked-text",
    (False, True): "locked-image",
    (True, True): "full",
}


@dataclass(frozen=True)
class Base:
    """The base of a customization: ``arch`` with a pretrained tag or a local checkpoint."""

    arch: str
    pretrained: str | None = None
    checkpoint: str | None = None

    def state(self) -> dict[str, Tensor]:
        """Its whole state dict, see :func:`base_state`."""
        return base_state(self.arch, self.pretrained, self.checkpoint)

    def architecture(self) -> dict[str, Any]:
        """What the card of a delta says of it."""
        weights = {"arch": self.arch, "pretrained": self.pretrained, "checkpoint": self.checkpoint}
        return {
            "image": {"type": image_tower_type(self.arch), **weights},
            "text": {"type": "react_mm.CLIPText", **weights},
        }


def base_of_card(card: Mapping[str, Any]) -> Base:
    """The base that a delta's card names.

    Raises:
        ValueError: If it is no open_clip model.
    """
    image = card["base"]["architecture"]["image"]
    if "arch" not in image:
        raise ValueError(
            f"the delta is one of {image.get('type')}, no open_clip model: it stays a delta"
        )
    return Base(image["arch"], image.get("pretrained"), image.get("checkpoint"))


def delta_of_whole(
    state: Mapping[str, Tensor], base: Base, what: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The delta inside a whole checkpoint, official (gated) or plain, and its card.

    A gated checkpoint holds its own base; if ``base`` names weights, they must be the same. A plain
    one is compared with the base key by key, which tells its method.

    Args:
        state: Whole state dict.
        base: The base; its weights may be left out for a gated checkpoint.
        what: Named in errors.

    Raises:
        ValueError: With the keys that are missing, unknown or differ.
    """
    start, gates = split_gates(state)
    model = meta_model(base.arch)
    check_keys(model, start, f"{what} for architecture {base.arch}")
    if gates:
        if base.pretrained is not None or base.checkpoint is not None:
            _check_same(start, base.state(), what)
        tensors, card = _gated(gates, len(model.visual.transformer.resblocks), what)
    else:
        frozen, start = start, base.state()
        parameters = [n for n, _ in model.named_parameters() if n not in SCALARS]
        tensors, card = _plain(frozen, start, parameters, what)
    image = [k for k in tensors if k.startswith("visual.")]
    tensors[LOGIT_SCALE] = state[LOGIT_SCALE]
    card |= {
        "base": {"architecture": base.architecture(), "image_hash": image_hash(start)},
        "image_tensors": image,
        "trainable_parameters": sum(v.numel() for v in tensors.values()),
        "gate_scale": 1.0,
        "logit_scale": float(state[LOGIT_SCALE]),
    }
    return tensors, card


def _gated(gates: Mapping[str, Tensor], layers: int, what: str) -> tuple[dict, dict]:
    options = gate_layout(gates, layers, what)
    shape = next(v for k, v in gates.items() if k.endswith("alpha_attn")).shape
    tensors = {k: v.reshape(1) if v.ndim == 0 else v for k, v in gates.items()}
    return tensors, {
        "method": "gated-image",
        "method_options": options,
        "gate_shape": list(shape),
    }


def _plain(
    state: Mapping[str, Tensor], start: Mapping[str, Tensor], parameters: Sequence[str], what: str
) -> tuple[dict, dict]:
    differing = _differing(state, start)
    kept = [key for key in differing if key in parameters]
    if not kept:
        raise ValueError(f"{what} equals the base: it holds no customization")
    if len(kept) < len(differing):
        others = sorted(set(differing) - set(kept))
        raise ValueError(f"{what} changes {others[:3]}, which are no weights that a delta holds")
    image = [key.startswith("visual.") for key in kept]
    method = WHAT_CHANGED[any(image), not all(image)]
    wanted = {"locked-text": (True,), "locked-image": (False,), "full": (True, False)}[method]
    tensors = {k: state[k] for k in parameters if k.startswith("visual.") in wanted}
    return tensors, {"method": method, "method_options": {}}


def _differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    return [
        k
        for k, value in one.items()
        if k != LOGIT_SCALE and not torch.equal(value.float(), other[k].float())
    ]


def _check_same(frozen: Mapping[str, Tensor], start: Mapping[str, Tensor], what: str) -> None:
    differing = _differing(frozen, start)
    if differing:
        raise ValueError(
            f"{what} was trained on another base: {len(differing)} frozen weights differ, such as "
            f"{differing[:3]}"
        )


def whole_of_delta(
    delta: Mapping[str, Tensor],
    card: Mapping[str, Any],
    start: Mapping[str, Tensor],
    gate_scale: float | Sequence[float] | None = None,
    plain: bool = False,
) -> tuple[dict[str, Tensor], float | list[float]]:
    """Base and delta as one state dict: official for gated-image, plain open_clip otherwise.

    Args:
        delta: What the customization trained.
        card: Its card.
        start: The base's whole state dict.
        gate_scale: s, one or one per block; None: the card's. It is folded into the gates, or into
            the merged updates.
        plain: Whether the result must load in plain open_clip.

    Returns:
        The state dict, and the gate scale that the weights could not take up (else 1).

    Raises:
        ValueError: If the base is another, keys do not fit, or a gated model should be plain.
    """
    hashed = image_hash(start)
    if hashed != card["base"]["image_hash"]:
        raise ValueError(
            f"the delta was trained on image weights {card['base']['image_hash'][:12]}; this base "
            f"has {hashed[:12]}"
        )
    scale = card.get("gate_scale", 1.0) if gate_scale is None else gate_scale
    method, state, left = card["method"], {**start}, 1.0
    if method == "gated-image":
        if plain:
            raise ValueError(NO_PLACE)
        gates = {k: v for k, v in delta.items() if k != LOGIT_SCALE}
        blocks = len({k.split(".gated_attn_block.")[0] for k in gates})
        scales = list(scale) if isinstance(scale, Sequence) else [scale] * blocks
        try:
            gates = fold_gate_scale(gates, scales)
        except OverflowError:
            left = scale
        shape = card.get("gate_shape", [1])
        state |= {k: v.reshape(shape) if v.numel() == 1 else v for k, v in gates.items()}
    elif method == "lora":
        if isinstance(scale, Sequence):
            raise ValueError("lora: give one gate scale for all updates to merge them")
        updates = {k: v for k, v in delta.items() if is_lora_key(k)}
        options = card["method_options"]
        rank = next(v for k, v in updates.items() if k.endswith(".A")).shape[0]
        factor = scale * ((options.get("alpha") or rank) / rank)
        state = merge_lora_state(state, updates, factor)
    else:
        unknown = sorted(set(delta) - set(start))
        if unknown:
            raise ValueError(f"the delta holds keys that the base lacks: {unknown[:5]}")
        state |= delta
    if LOGIT_SCALE in delta:
        state[LOGIT_SCALE] = delta[LOGIT_SCALE].reshape(start[LOGIT_SCALE].shape)
    return state, left


def save_whole(path: str | Path, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Writes a whole state dict, ``.safetensors`` or ``.pt``, and a card of what it came from.

    A ``.pt`` file holds ``{'state_dict': ...}`` of plain tensors, as the official trainer's do.

    Raises:
        ValueError: For another ending.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_state(path, state)
    elif path.suffix in (".pt", ".pth"):
        with atomic_path(path) as temporary:
            tensors = {k: v.detach().cpu().clone() for k, v in state.items()}
            torch.save({"state_dict": tensors}, temporary)
    else:
        raise ValueError(f"{path}: whole weights are written as .safetensors, .pt or .pth")
    write_json(card_path(path), card)


def convert_whole(
    state: Mapping[str, Tensor], out: str, base: Base, what: str, base_out: str | None = None
) -> dict[str, Any]:
    """Writes the delta of a whole checkpoint, and its frozen part where asked.

    Returns:
        The card.
    """
    tensors, card = delta_of_whole(state, base, what)
    if base_out is not None:
        if card["method"] != "gated-image":
            raise ValueError(f"{what} holds no base of its own: --base-out is for gated ones")
        save_whole(base_out, split_gates(state)[0], {"frozen_part_of": what})
    write_delta(out, tensors, {**card, "converted_from": what})
    return card


def convert_delta(
    source: str,
    out: str,
    base: Base | None = None,
    gate_scale: float | None = None,
    plain: bool = False,
) -> dict[str, Any]:
    """Writes a delta and its base as one checkpoint.

    Args:
        source: The delta; or a whole checkpoint, which is only rewritten.
        out: File to write.
        base: The base; None: the one that the card names.
        gate_scale: See :func:`whole_of_delta`.
        plain: See :func:`whole_of_delta`.

    Returns:
        The card of the file: ``converted_from``, ``method``, ``gate_scale`` left to apply.
    """
    if not is_delta(source):
        state = read_whole(source)
        gates = split_gates(state)[1]
        if gates and plain:
            raise ValueError(NO_PLACE)
        if gate_scale is not None:
            raise ValueError(f"{source} is no delta: convert it to one first, then scale its gates")
        written = {"converted_from": source, "method": "gated-image" if gates else "unknown"}
        written["gate_scale"] = 1.0
    else:
        delta, card = load_delta(source)
        start = (base or base_of_card(card)).state()
        state, left = whole_of_delta(delta, card, start, gate_scale, plain)
        written = {"converted_from": source, "method": card["method"], "gate_scale": left}
        written["base"] = card["base"]
    save_whole(out, state, written)
    return written


def is_delta(path: str) -> bool:
    """Whether a delta's card lies beside the file."""
    return card_path(path).is_file() and "delta_hash" in read_card(path)
