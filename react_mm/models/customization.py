"""Customization methods: what is inserted, what is frozen, what trains.

A method name decides it all, and the result is asserted: the names of the trainable parameters must
be exactly those the method promises (REACT, arXiv 2301.07094, section on customization; gated
blocks in front of the last K blocks, K = 6, and 12 for bigG/14).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.checkpoints import content_hash, load_delta
from react_mm.models.layers.gated_attention import (
    BLOCK_NAME,
    GatedAttentionBlock,
    gated_blocks,
    insert_gate,
)
from react_mm.suggestions import near_matches

LOGIT_SCALE = "logit_scale"


def _is_image(name: str) -> bool:
    return name.startswith("image_tower.")


def _is_text(name: str) -> bool:
    return name.startswith("text_tower.")


# method -> which parameters of CLIP (logit_scale apart) train
METHODS: dict[str, Callable[[str], bool]] = {
    "none": lambda name: False,
    "full": lambda name: _is_image(name) or _is_text(name),
    "locked-text": _is_image,
    "locked-image": _is_text,
    "gated-image": lambda name: _is_image(name) and f".{BLOCK_NAME}." in name,
}
PLANNED = ("lora",)
TEXT_FROZEN = ("none", "locked-text", "gated-image")


def check_method(method: str) -> None:
    """Refuses a method that does not exist, or not yet.

    Raises:
        ValueError: For an unknown name, with near matches.
        NotImplementedError: For a method that is planned.
    """
    if method in PLANNED:
        raise NotImplementedError(f"customization method {method!r} is planned but not built yet")
    if method not in METHODS:
        raise ValueError(
            f"unknown customization method {method!r}{near_matches(method, METHODS)}; "
            f"known: {', '.join(METHODS)}"
        )


def insert_gated_blocks(tower: nn.Module, blocks: int = 6, mlp_ratio: float | None = None) -> None:
    """Inserts a gated block in front of each of the last ``blocks`` blocks of an image tower.

    Args:
        tower: An image tower with ``insertion_points()`` and ``gate_options()``.
        blocks: K; at most the number of blocks the tower has.
        mlp_ratio: Overrides the tower's own (4.0 for CLIP, also in bigG: facts A2).

    Raises:
        ValueError: If the tower has fewer blocks.
    """
    points = tower.insertion_points()
    if not 0 < blocks <= len(points):
        raise ValueError(f"gated-image: blocks={blocks}, but the tower has {len(points)} blocks")
    options = dict(tower.gate_options())
    if mlp_ratio is not None:
        options["mlp_ratio"] = mlp_ratio
    for point in points[-blocks:]:
        reference = next(tower.parameters())
        insert_gate(point, GatedAttentionBlock(**options).to(reference.device, reference.dtype))


def customize(model: nn.Module, method: str, options: dict[str, Any] | None = None) -> list[str]:
    """Applies a method to a model with ``image_tower``, ``text_tower`` and ``logit_scale``.

    Args:
        model: :class:`react_mm.models.clip.CLIP`.
        method: A key of :data:`METHODS`.
        options: ``blocks`` and ``mlp_ratio`` for gated-image; ``train_logit_scale`` (True) for all.

    Returns:
        The names of the trainable parameters.

    Raises:
        ValueError: For an option that the method does not know.
        AssertionError: If the trainable set is not the method's (a fault of the tower).
    """
    check_method(method)
    options = dict(options or {})
    train_scale = options.pop("train_logit_scale", method != "none")
    if method == "gated-image":
        insert_gated_blocks(model.image_tower, **_only(options, method, ("blocks", "mlp_ratio")))
    else:
        _only(options, method, ())
    trains = METHODS[method]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(train_scale if name == LOGIT_SCALE else trains(name))
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    _assert_trainable(model, method, names, train_scale)
    return names


def _only(options: dict[str, Any], method: str, known: tuple[str, ...]) -> dict[str, Any]:
    for key in options:
        if key not in known:
            raise ValueError(
                f"method {method!r} has no option {key!r}{near_matches(key, known)}; "
                f"known: {', '.join((*known, 'train_logit_scale'))}"
            )
    return options


def _assert_trainable(model: nn.Module, method: str, names: list[str], scale: bool) -> None:
    found = set(names)
    assert (LOGIT_SCALE in found) == scale, f"{method}: logit_scale trains: {not scale}"
    found.discard(LOGIT_SCALE)
    if method == "gated-image":
        gates = gated_blocks(model.image_tower)
        count = sum(p.numel() for gate in gates for p in gate.parameters())
        trained = sum(p.numel() for n, p in model.named_parameters() if n in found)
        assert gates and trained == count, f"gated-image: {trained} parameters train, not {count}"
    if method in TEXT_FROZEN:
        wrong = sorted(n for n in found if _is_text(n))
        assert not wrong, f"{method} must not train text weights: {wrong[:5]}"
    assert bool(found) == (method != "none"), f"{method}: nothing trains"


def image_base_state(tower: nn.Module) -> dict[str, Tensor]:
    """The image tower's own weights, without anything that customization inserted."""
    return {k: v for k, v in tower.state_dict().items() if f".{BLOCK_NAME}." not in k}


def image_base_hash(tower: nn.Module) -> str | None:
    """Content hash of :func:`image_base_state`; None on the meta device."""
    state = image_base_state(tower)
    if any(v.is_meta for v in state.values()):
        return None
    return content_hash(state)


def apply_delta(tower: nn.Module, delta: str, gate_scale: float | None = None) -> dict[str, Any]:
    """Puts a stored customization on top of a plain image tower.

    Args:
        tower: The image tower of the base that the delta was trained on.
        delta: ``customized.safetensors``, with its card beside it.
        gate_scale: s in [0, 1] that multiplies both tanh gates; None: the card's.

    Returns:
        The card.

    Raises:
        ValueError: If the delta belongs to another base (both hashes are named), or its keys do not
            fit the tower.
    """
    state, card = load_delta(delta)
    if any(parameter.is_meta for parameter in tower.parameters()):
        state = {k: v.to("meta") for k, v in state.items()}
    else:
        have = image_base_hash(tower)
        if card["base"]["image_hash"] != have:
            raise ValueError(
                f"{delta} was trained on the base {card['base'].get('architecture')} with weights "
                f"{card['base']['image_hash'][:12]}; this tower has weights {have[:12]}"
            )
    if card["method"] == "gated-image":
        insert_gated_blocks(tower, **card["method_options"])
        for gate in gated_blocks(tower):
            gate.to(next(tower.parameters()).device)
    names = set(tower.state_dict())
    image_keys = {k for k in card["tensors"] if k in card["image_tensors"]}
    unknown = sorted(image_keys - names)
    if unknown:
        raise ValueError(f"{delta} holds keys that the tower lacks: {unknown[:5]}")
    if card["method"] == "gated-image":
        lacking = sorted(n for n in names if f".{BLOCK_NAME}." in n and n not in image_keys)
        if lacking:
            raise ValueError(f"{delta} lacks keys of the gated blocks: {lacking[:5]}")
    own = tower.state_dict()
    with torch.no_grad():
        for key in image_keys:
            if own[key].shape != state[key].shape:
                raise ValueError(
                    f"{delta}: {key} has shape {tuple(state[key].shape)}, the tower expects "
                    f"{tuple(own[key].shape)}"
                )
            own[key].copy_(state[key])
    tower.set_gate_scale(card.get("gate_scale", 1.0) if gate_scale is None else gate_scale)
    return card
