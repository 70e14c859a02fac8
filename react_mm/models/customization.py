"""Customization methods: what is inserted, what is frozen, what trains.

A method name decides it all, and the result is asserted: the names of the trainable parameters and
their number must be exactly those the method promises (REACT, arXiv 2301.07094, section on
customization; gated blocks in front of the last K blocks, K = 6, and 12 for bigG/14).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
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
from react_mm.models.layers.lora import LowRankUpdate, insert_lora, is_lora_key
from react_mm.models.official_checkpoints import gate_layout
from react_mm.suggestions import near_matches

LOGIT_SCALE = "logit_scale"
IMAGE, TEXT = "image_tower.", "text_tower."

# method -> the options it knows, besides train_logit_scale
METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "full": (),
    "locked-text": (),
    "locked-image": (),
    "gated-image": ("blocks", "mlp_ratio", "init"),
    "lora": ("rank", "alpha", "targets", "text"),
}
GATE_INITS = ("default", "copy")
LORA_TEXT = ("locked", "lora")


def is_inserted(name: str) -> bool:
    """Whether a parameter name belongs to something that customization inserted."""
    return f".{BLOCK_NAME}." in name or is_lora_key(name)


def check_method(method: str, options: dict[str, Any] | None = None) -> None:
    """Refuses a method or an option that does not exist.

    Raises:
        ValueError: For an unknown name (with near matches) or value.
    """
    if method not in METHODS:
        raise ValueError(
            f"unknown customization method {method!r}{near_matches(method, METHODS)}; "
            f"known: {', '.join(METHODS)}"
        )
    options, known = dict(options or {}), (*METHODS[method], "train_logit_scale")
    for key in options:
        if key not in known:
            raise ValueError(
                f"method {method!r} has no option {key!r}{near_matches(key, known)}; "
                f"known: {', '.join(known)}"
            )
    for key, values in (("init", GATE_INITS), ("text", LORA_TEXT)):
        if options.get(key, values[0]) not in values:
            raise ValueError(
                f"method {method!r}: {key} is {' or '.join(values)}, not {options[key]!r}"
            )


def trains_text(method: str, options: dict[str, Any] | None = None) -> bool:
    """Whether a method changes the text tower; if not, captions may be embedded once."""
    lora = method == "lora" and (options or {}).get("text", "locked") == "lora"
    return lora or method in ("full", "locked-image")


def insert_gated_blocks(
    tower: nn.Module,
    blocks: int | str = 6,
    mlp_ratio: float | None = None,
    init: str = "default",
) -> None:
    """Inserts a gated block in front of each of the last ``blocks`` blocks of an image tower.

    Args:
        tower: An image tower with ``insertion_points()`` and ``gate_options()``.
        blocks: K, at most the number of blocks the tower has; or ``all``.
        mlp_ratio: Overrides the tower's own (4.0 for CLIP, also in bigG: facts A2; that of the
            frozen block for ``copy``).
        init: ``default`` (torch's) or ``copy``: the weights of the frozen block behind it. The
            gates start at 0 either way.

    Raises:
        ValueError: If the tower has fewer blocks, or cannot be copied (it says why).
    """
    points = tower.insertion_points()
    count = len(points) if blocks == "all" else blocks
    if not isinstance(count, int) or not 0 < count <= len(points):
        raise ValueError(f"gated-image: blocks={blocks!r}, but the tower has {len(points)} blocks")
    for point in points[-count:]:
        options, copied = dict(tower.gate_options()), None
        if init == "copy":
            copied = tower.block_copy(point)
            hidden, width = copied["mlp.c_fc.weight"].shape
            options["mlp_ratio"] = hidden / width
            if mlp_ratio is not None and int(width * mlp_ratio) != hidden:
                raise ValueError(
                    f"gated-image: init='copy' needs the frozen block's MLP of {hidden} channels, "
                    f"mlp_ratio={mlp_ratio} gives {int(width * mlp_ratio)}: leave mlp_ratio out"
                )
        elif mlp_ratio is not None:
            options["mlp_ratio"] = mlp_ratio
        reference = next(tower.parameters())
        gate = GatedAttentionBlock(**options).to(reference.device, reference.dtype)
        if copied is not None:
            gate.load_state_dict(gate.state_dict() | copied)
        insert_gate(point, gate)


def insert_updates(tower: nn.Module, options: dict[str, Any]) -> None:
    """Inserts low-rank updates into one tower, with the options of the method ``lora``.

    Raises:
        ValueError: If the tower has no such blocks, or an option is wrong.
    """
    if not hasattr(tower, "lora_blocks"):
        raise ValueError(f"method 'lora' is not built for {type(tower).__name__}")
    insert_lora(tower.lora_blocks(), **{k: v for k, v in options.items() if k != "text"})


def customize(model: nn.Module, method: str, options: dict[str, Any] | None = None) -> list[str]:
    """Applies a method to a model with ``image_tower``, ``text_tower`` and ``logit_scale``.

    Args:
        model: :class:`react_mm.models.clip.CLIP`.
        method: A key of :data:`METHODS`.
        options: For gated-image those of :func:`insert_gated_blocks`; for lora those of
            :func:`react_mm.models.layers.lora.insert_lora` and ``text`` (``locked``, or ``lora``:
            the text tower gets updates, too); ``train_logit_scale`` (True) for all.

    Returns:
        The names of the trainable parameters.

    Raises:
        ValueError: For an option that the method does not know, or a tower it does not fit.
        AssertionError: If the trainable set is not the method's (a fault of the tower).
    """
    check_method(method, options)
    options = dict(options or {})
    train_scale = options.pop("train_logit_scale", method != "none")
    before = {name for name, _ in model.named_parameters()}
    if method == "gated-image":
        insert_gated_blocks(model.image_tower, **options)
    elif method == "lora":
        insert_updates(model.image_tower, options)
        if trains_text(method, options):
            insert_updates(model.text_tower, options)
    for name, parameter in model.named_parameters():
        trains = train_scale if name == LOGIT_SCALE else _trains(method, name)
        parameter.requires_grad_(trains)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    _assert_trainable(model, method, options, before, names, train_scale)
    return names


def _trains(method: str, name: str) -> bool:
    if method in ("gated-image", "lora"):
        return is_inserted(name)
    towers = {"full": (IMAGE, TEXT), "locked-text": (IMAGE,), "locked-image": (TEXT,)}
    return name.startswith(towers.get(method, ("\0",)))


def _assert_trainable(
    model: nn.Module,
    method: str,
    options: dict[str, Any],
    before: set[str],
    names: Sequence[str],
    train_scale: bool,
) -> None:
    """The set against what the towers themselves say, not against the rule that made it."""
    found = set(names)
    assert (LOGIT_SCALE in found) == train_scale, f"{method}: logit_scale trains: {not train_scale}"
    found.discard(LOGIT_SCALE)
    if not trains_text(method, options):
        wrong = sorted(n for n in found if n.startswith(TEXT))
        assert not wrong, f"{method} must not train text weights: {wrong[:5]}"
    if method in ("gated-image", "lora"):
        wrong = sorted(found & before)
        assert not wrong, f"{method} must not train weights that were there before: {wrong[:5]}"
        parts = gated_blocks(model.image_tower)
        if method == "lora":
            parts = [m for m in model.modules() if isinstance(m, LowRankUpdate)]
        expected = sum(p.numel() for part in parts for p in part.parameters())
        assert parts, f"{method}: nothing was inserted"
    else:
        towers = {"full": (IMAGE, TEXT), "locked-text": (IMAGE,), "locked-image": (TEXT,)}
        kept = [getattr(model, prefix[:-1]) for prefix in towers.get(method, ())]
        expected = sum(p.numel() for tower in kept for p in tower.parameters())
    trained = sum(p.numel() for n, p in model.named_parameters() if n in found)
    assert trained == expected, f"{method}: {trained} parameters train, not {expected}"
    assert bool(found) == (method != "none"), f"{method}: nothing trains"


def summarize_names(names: Iterable[str]) -> list[str]:
    """Parameter names with their block numbers left out, and how many share the rest.

    Returns:
        Such as ``image_tower.visual.transformer.resblocks.*.gated_attn_block.ln_1.weight x6``.
    """
    counted = Counter(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in names)
    return [f"{name} x{n}" if n > 1 else name for name, n in counted.items()]


def image_base_state(tower: nn.Module) -> dict[str, Tensor]:
    """The image tower's own weights, without anything that customization inserted."""
    return {k: v for k, v in tower.state_dict().items() if not is_inserted(k)}


def image_base_hash(tower: nn.Module) -> str | None:
    """Content hash of :func:`image_base_state`; None on the meta device."""
    state = image_base_state(tower)
    if any(v.is_meta for v in state.values()):
        return None
    return content_hash(state)


def load_official_gates(tower: nn.Module, gates: dict[str, Tensor], what: str) -> None:
    """Inserts the gated blocks of a released REACT checkpoint into the tower of its frozen part.

    Args:
        tower: ``react_mm.CLIPViT``.
        gates: Keys of the release, see :mod:`react_mm.models.official_checkpoints`.
        what: Named in errors.

    Raises:
        ValueError: If keys are missing or do not fit.
    """
    insert_gated_blocks(tower, **gate_layout(gates, len(tower.insertion_points()), what))
    own = tower.state_dict()
    with torch.no_grad():
        for key, value in gates.items():
            if value.numel() != own[key].numel():
                raise ValueError(
                    f"{what}: {key} has shape {tuple(value.shape)}, the tower expects "
                    f"{tuple(own[key].shape)}"
                )
            own[key].copy_(value.reshape(own[key].shape))


def apply_delta(
    tower: nn.Module, delta: str, gate_scale: float | Sequence[float] | None = None
) -> dict[str, Any]:
    """Puts a stored customization on top of a plain image tower.

    Args:
        tower: The image tower of the base that the delta was trained on.
        delta: ``customized.safetensors``, with its card beside it.
        gate_scale: s in [0, 1] that multiplies both tanh gates (lora: the updates), one or one per
            block; None: the card's.

    Returns:
        The card.

    Raises:
        ValueError: If the delta belongs to another base (both hashes are named), or its keys do not
            fit the tower.
    """
    state, card = load_delta(delta)
    reference = next(tower.parameters())
    if reference.is_meta:
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
    elif card["method"] == "lora":
        insert_updates(tower, card["method_options"])
    own = tower.state_dict()
    image_keys = {k for k in card["tensors"] if k in card["image_tensors"]}
    unknown = sorted(image_keys - set(own))
    if unknown:
        raise ValueError(f"{delta} holds keys that the tower lacks: {unknown[:5]}")
    lacking = sorted(n for n in own if is_inserted(n) and n not in image_keys)
    if lacking:
        raise ValueError(f"{delta} lacks keys of what {card['method']} inserts: {lacking[:5]}")
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
