"""Key names and layout of the public REACT release, and of whole open_clip checkpoints.

A released gated checkpoint is an open_clip state dict with further keys

    visual.transformer.resblocks.{i}.gated_attn_block.{ln_1, attn, ln_2, mlp.c_fc, mlp.c_proj}.*
    visual.transformer.resblocks.{i}.gated_attn_block.{alpha_attn, alpha_dense}

for the last K blocks i; block i of the release runs its gated block before the frozen one (facts A2
of REACT, arXiv 2301.07094). Locked-text checkpoints are plain open_clip state dicts.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.checkpoints import check_keys, content_hash, load_state, strip_prefixes
from react_mm.models.layers.gated_attention import BLOCK_NAME, GATE_NAMES, GatedAttentionBlock
from react_mm.models.open_clip_loading import NO_WEIGHTS, load_open_clip

GATE_TOLERANCE = 1e-6
"""Largest error of a gate's tanh, after the scale is folded in, that an export accepts."""

_GATE_KEY = re.compile(rf"^visual\.transformer\.resblocks\.(\d+)\.{BLOCK_NAME}\.(.+)$")
_FC = "mlp.c_fc.weight"


def read_whole(path: str | Path) -> dict[str, Tensor]:
    """A whole checkpoint's weights, without wrappers, optimiser state and prefixes.

    Raises:
        FileNotFoundError, ValueError: See :func:`react_mm.checkpoints.load_state`.
    """
    state = strip_prefixes(load_state(path))
    return {k: v for k, v in state.items() if k not in NO_WEIGHTS}


def split_gates(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parts a state dict into the frozen weights and those of gated blocks."""
    gates = {k: v for k, v in state.items() if f".{BLOCK_NAME}." in k}
    return {k: v for k, v in state.items() if k not in gates}, gates


def gate_layout(gates: Mapping[str, Tensor], layers: int, what: str) -> dict[str, Any]:
    """Options of the method gated-image that give these gated blocks.

    Args:
        gates: Keys of the release; see the module.
        layers: Frozen blocks of the tower.
        what: Named in errors.

    Returns:
        ``blocks`` and ``mlp_ratio``.

    Raises:
        ValueError: If the blocks are not the last K, or a block lacks a key or has another shape.
    """
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in gates.items():
        match = _GATE_KEY.match(key)
        if match is None:
            raise ValueError(f"{what}: {key} is no key of the REACT release")
        found.setdefault(int(match[1]), {})[match[2]] = value
    count, numbers = len(found), sorted(found)
    if numbers != list(range(layers - count, layers)):
        raise ValueError(
            f"{what}: gated blocks stand before the blocks {numbers} of {layers}; REACT's are the "
            "last K"
        )
    hidden = {tuple(rows[_FC].shape) for rows in found.values() if _FC in rows}
    if len(hidden) != 1 or len(next(iter(hidden))) != 2:
        raise ValueError(f"{what}: mlp.c_fc.weight of the gated blocks is missing or differs")
    channels, width = hidden.pop()
    with torch.device("meta"):
        expected = GatedAttentionBlock(width, 1, channels / width).state_dict()
    for number, rows in sorted(found.items()):
        lacking = sorted(set(expected) - set(rows))
        unknown = sorted(set(rows) - set(expected))
        other = [
            k
            for k in expected
            if k in rows and k not in GATE_NAMES and rows[k].shape != expected[k].shape
        ]
        other += [k for k in GATE_NAMES if k in rows and rows[k].numel() != 1]
        if lacking or unknown or other:
            raise ValueError(
                f"{what}: the gated block before block {number} lacks {lacking}, has unknown "
                f"{unknown}, and of another shape {other}"
            )
    return {"blocks": count, "mlp_ratio": channels / width}


def fold_gate_scale(gates: Mapping[str, Tensor], scales: Sequence[float]) -> dict[str, Tensor]:
    """Gated blocks whose gates hold the gate scale: atanh(s tanh g), computed in float64.

    Args:
        gates: Keys of the release.
        scales: s in [0, 1], one per block in order of depth.

    Raises:
        ValueError: If a key is not the release's (gates in a tower of timm).
        OverflowError: If a gate's own precision cannot hold the product (a tanh that rounds to 1);
            the scale then has to stay in the card.
    """
    for key in gates:
        if _GATE_KEY.match(key) is None:
            raise ValueError(
                f"{key} is no key of the REACT release, whose gates are in open_clip's own ViT"
            )
    numbers = sorted({int(_GATE_KEY.match(key)[1]) for key in gates})
    of_block = dict(zip(numbers, scales, strict=True))
    folded = dict(gates)
    for key, value in gates.items():
        match = _GATE_KEY.match(key)
        scale = of_block[int(match[1])]
        if match[2] not in GATE_NAMES or scale == 1.0:
            continue
        wanted = scale * torch.tanh(value.double())
        stored = torch.atanh(wanted).to(value.dtype)
        error = float((torch.tanh(stored.double()) - wanted).abs().max())
        if not math.isfinite(error) or error > GATE_TOLERANCE:
            raise OverflowError(
                f"{key}: {scale} * tanh({value.item()}) cannot be held by {value.dtype}"
            )
        folded[key] = stored
    return folded


def meta_model(arch: str) -> nn.Module:
    """The open_clip model of an architecture on the meta device: names and shapes, no memory."""
    with torch.device("meta"):
        return load_open_clip(arch)


def float_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating point tensors as float32, as :func:`load_open_clip` holds them."""
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def image_hash(state: Mapping[str, Tensor]) -> str:
    """Hash of the image tower inside a whole state dict, as the card of a delta names it."""
    return content_hash(float_state({k: v for k, v in state.items() if k.startswith("visual.")}))


def base_state(
    arch: str, pretrained: str | None = None, checkpoint: str | Path | None = None
) -> dict[str, Tensor]:
    """The base's whole state dict: of a local file as it is, else as open_clip loads the tag.

    Raises:
        ValueError: If the file lacks keys of the architecture (named), or nothing is given.
    """
    if checkpoint is not None:
        state = split_gates(read_whole(checkpoint))[0]
        check_keys(meta_model(arch), state, f"{checkpoint} for architecture {arch}")
        return state
    if pretrained is None:
        raise ValueError(f"name the base of {arch!r}: a pretrained tag, or a checkpoint file")
    return dict(load_open_clip(arch, pretrained).state_dict())
