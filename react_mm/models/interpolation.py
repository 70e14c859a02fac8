"""Between the start and the customized model: weight-space interpolation and its kin.

For methods that change the base's own weights (full, locked-text, locked-image) the weights are
mixed key by key, alpha * customized + (1 - alpha) * start (WiSE-FT, arXiv 2109.01903, eq. 1;
CLIPSelf uses 0.7). What was inserted has no start to mix with: a gated block that is absent equals
one whose tanh gates are 0, and LoRA starts at no update, so that alpha multiplies the gate scale.
For LoRA that is the interpolation of the merged weights exactly.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from react_mm.checkpoints import card_path, content_hash, load_delta, save_state
from react_mm.manifest import write_json
from react_mm.models.clip import own_key
from react_mm.models.layers.lora import scaled_parts

INSERTED = ("gated-image", "lora")


def interpolated(
    start: Mapping[str, Tensor], customized: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """alpha * customized + (1 - alpha) * start for every key of ``customized``.

    Args:
        start: Weights before training.
        customized: Weights after training; its keys are among those of ``start``.
        alpha: In [0, 1]; at 0 and 1 the weights are exactly those of one side.

    Raises:
        ValueError: If alpha is outside [0, 1] or ``start`` lacks a key.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"the share of the customized weights lies in [0, 1], got {alpha}")
    lacking = sorted(set(customized) - set(start))
    if lacking:
        raise ValueError(
            f"the start lacks {len(lacking)} keys of the customized model: {lacking[:3]}"
        )
    mixed = {}
    for key, value in customized.items():
        first = start[key].to(value.device)
        if alpha in (0.0, 1.0):
            mixed[key] = (value if alpha else first.to(value.dtype)).clone()
        else:
            mixed[key] = (alpha * value.double() + (1 - alpha) * first.double()).to(value.dtype)
    return mixed


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters that train, by name."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def interpolate_model(
    model: nn.Module, start: Mapping[str, Tensor], customized: Mapping[str, Tensor], alpha: float
) -> None:
    """Puts a model between its start and its customization, in place.

    Args:
        model: :class:`react_mm.models.clip.CLIP` with the method that trained it.
        start: :func:`trained_state` before training.
        customized: :func:`trained_state` after training.
        alpha: Share of the customized side, in [0, 1].

    Raises:
        ValueError: As :func:`interpolated`.
    """
    if model.method in INSERTED:
        interpolated({}, {}, alpha)  # checks alpha
        for part in scaled_parts(model):
            part.gate_scale = alpha
        return
    mixed = interpolated(start, customized, alpha)
    for name, parameter in model.named_parameters():
        if name in mixed:
            parameter.copy_(mixed[name])


def interpolate_delta(delta: str | Path, base: nn.Module, alpha: float, path: str | Path) -> Path:
    """Writes a stored customization moved towards its base.

    Args:
        delta: ``customized.safetensors`` with its card.
        base: :class:`react_mm.models.clip.CLIP` of the base, without the delta.
        alpha: Share of the customized side, in [0, 1].
        path: ``.safetensors`` file to write; its card says ``interpolation``.

    Returns:
        The path written.

    Raises:
        ValueError: If alpha is outside [0, 1], or the base is another than the delta's.
    """
    state, card = load_delta(delta)
    if card["method"] in INSERTED:
        interpolated({}, {}, alpha)
        card["gate_scale"] = _times(card.get("gate_scale", 1.0), alpha)
    else:
        start = {own_key(n): p.detach() for n, p in base.named_parameters()}
        state = interpolated(start, state, alpha)
        if "logit_scale" in state:
            card["logit_scale"] = float(state["logit_scale"])
    card = {**card, "delta_hash": content_hash(state), "interpolation": alpha}
    save_state(path, state, {"format": card["format"]})
    write_json(card_path(path), card)
    return Path(path)


def _times(scale: Any, alpha: float) -> Any:
    return [alpha * s for s in scale] if isinstance(scale, list | tuple) else alpha * scale
