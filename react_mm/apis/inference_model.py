"""A config, weights, a customization and its gate scale put together for inference."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

import react_mm.registry  # noqa: F401  (mmengine then knows where mmseg:: and react_mm:: lie)
from react_mm.checkpoints import check_keys, read_card, strip_prefixes
from react_mm.engine.configuration import load_config
from react_mm.engine.safe_loading import safe_torch_load
from react_mm.models.customization import trains_text
from react_mm.registry import MODELS

NO_DELTA = "none"
CLASSIFY, DETECT, SEGMENT = "classify", "detect", "segment"
_TASK_OF_BASE = {"CLIP": CLASSIFY, "BaseDetector": DETECT, "BaseSegmentor": SEGMENT}
_TOWERS = ("backbone.", "image_tower.")


@dataclass
class InferenceModel:
    """A model that is ready to predict.

    Attributes:
        model: In eval mode, on its device.
        config: What it was built from, with the customization that was asked for.
        task: ``classify``, ``detect`` or ``segment``.
        classes: The classes the checkpoint was trained on, or None.
    """

    model: nn.Module
    config: Config
    task: str
    classes: tuple[str, ...] | None


def load_inference_model(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    delta: str | Path | None = None,
    gate_scale: float | Sequence[float] | None = None,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> InferenceModel:
    """Builds the model of a config and puts weights, customization and gate scale on it.

    Args:
        config: Config file (or a read config).
        checkpoint: Weights of the whole model, as training leaves them.
        delta: A stored customization for the tower: it replaces the tower of config and checkpoint,
            whose other parts stay. ``none`` is the tower without any; None leaves what the config
            and the checkpoint say.
        gate_scale: Scale of the gates in [0, 1], one or one per block; None: the delta's card.
        device: Where to run; None: ``cuda`` if there is one, else ``cpu``.
        options: Changes to the config, as after ``--cfg-options``.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the weights do not fit, there are no gates to scale, or the model is none
            whose classes are names.
    """
    for what, path in (("checkpoint", checkpoint), ("delta", delta)):
        if path is not None and str(path) != NO_DELTA and not Path(path).is_file():
            raise FileNotFoundError(f"{what} {path} does not exist")
    if isinstance(config, Config):
        config = copy.deepcopy(config)
        config.merge_from_dict(dict(options or {}))
    else:
        config = load_config(config, options)
    if config.get("model") is None:
        raise ValueError(f"config {config.filename} has no model: it is no config for inference")
    _set_delta(config.model, None if delta is None else str(delta), gate_scale)
    with scope_of(config):
        model = MODELS.build(config.model)
    task = task_of(model)
    classes = None
    if checkpoint is not None:
        classes = _load_weights(model, Path(checkpoint), keep_tower=delta is not None)
    if gate_scale is not None:
        _scale_gates(model, gate_scale)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return InferenceModel(model.to(device).eval(), config, task, classes)


@contextlib.contextmanager
def scope_of(config: Config) -> Iterator[None]:
    """Lets unscoped types of a config resolve while the block runs (``default_scope``)."""
    with DefaultScope.overwrite_default_scope(config.get("default_scope") or "react_mm"):
        yield


def task_of(model: nn.Module) -> str:
    """What a model does: ``classify``, ``detect`` or ``segment``.

    Raises:
        ValueError: If it does none of these for classes given by name.
    """
    names = [base.__name__ for base in type(model).__mro__]
    found = [task for name, task in _TASK_OF_BASE.items() if name in names]
    kind = type(model).__name__
    if not found:
        raise ValueError(f"{kind} is no classifier (react_mm.CLIP), detector or segmentor")
    if "RegionClassifier" in names:  # of ground-truth boxes or of proposals
        raise ValueError(f"{kind} names given boxes and finds none: test it by tools/test.py")
    if not hasattr(model, "set_vocabulary"):
        raise ValueError(
            f"{kind} has fixed classes: use mmdet's or mmseg's own inferencers, or a model of "
            "react_mm, whose classes are names"
        )
    return found[0]


def tower_of(model: nn.Module) -> nn.Module:
    """The image tower of a classifier, detector or segmentor."""
    return model.image_tower if hasattr(model, "image_tower") else model.backbone


def text_tower_of(model: nn.Module) -> nn.Module:
    """The text tower of a classifier, detector or segmentor, built if it was not needed yet."""
    embedder = model.class_embedder
    if isinstance(embedder.text_tower, Mapping):
        embedder.text_tower = MODELS.build(dict(embedder.text_tower)).eval()
    return embedder.text_tower


def _set_delta(model: dict, delta: str | None, gate_scale: Any) -> None:
    """Names the customization in the config of a model."""
    holder = model if "image_tower" in model else model.get("backbone")
    if delta is None or holder is None:
        return
    for key in ("delta", "gate_scale"):
        holder.pop(key, None)
    if delta == NO_DELTA:
        return
    holder["delta"] = delta
    if gate_scale is not None:
        holder["gate_scale"] = gate_scale
    card = read_card(delta)
    embedder = model.get("class_embedder")
    if embedder is not None and trains_text(card["method"], card.get("method_options")):
        embedder["text_tower"]["delta"] = delta


def _scale_gates(model: nn.Module, scale: float | Sequence[float]) -> None:
    from react_mm.models.layers.lora import scaled_parts

    if not scaled_parts(tower_of(model)):
        raise ValueError(
            f"gate_scale={scale} is given, but {type(model).__name__}'s tower has no gates and no "
            "low-rank updates: give the delta they are in"
        )
    (model if hasattr(model, "set_gate_scale") else tower_of(model)).set_gate_scale(scale)


def _load_weights(model: nn.Module, path: Path, keep_tower: bool) -> tuple[str, ...] | None:
    """Loads a checkpoint whole, or all but the tower; returns the classes it was trained on."""
    content = safe_torch_load(path, map_location="cpu")
    state = strip_prefixes(content.get("state_dict", content))
    if keep_tower:
        own = {k: v for k, v in model.state_dict().items() if k.startswith(_TOWERS)}
        state = {**{k: v for k, v in state.items() if not k.startswith(_TOWERS)}, **own}
    try:
        check_keys(model, state, f"{path} on {type(model).__name__}")
    except ValueError as error:
        gates = any("gated" in key or ".lora." in key for key in str(error).split())
        advice = "; its tower was customized: give the delta, too" if gates else ""
        raise ValueError(f"{error}{advice}") from None
    model.load_state_dict(state)
    trained = (content.get("meta") or {}).get("dataset_meta") or {}
    base = trained.get("base_classes") or trained.get("classes")
    if base and hasattr(model, "set_base_classes"):
        model.set_base_classes(tuple(base))
    classes = trained.get("classes")
    return tuple(classes) if classes else None
