"""What a comparison puts side by side, as written on its command line."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
from mmengine.config import Config, ConfigDict

from react_mm.checkpoints import card_path
from react_mm.engine.configuration import load_config
from react_mm.models.open_clip_loading import resolve_architecture


@dataclass(frozen=True)
class ComparedModel:
    """One column: the base of each config, or what is put in its place or on top.

    Attributes:
        name: Column name.
        base: A config file (``.py``) whose ``model`` replaces the task's (templates stay the
            task's), or None.
        weights: A customization (``.safetensors`` with its card), whole weights of open_clip's
            format (``.safetensors`` without a card) or a checkpoint (``.pth``), or None.
        scale: Gate scale, or None for what the card says.
    """

    name: str
    base: str | None = None
    weights: str | None = None
    scale: float | None = None

    @classmethod
    def parse(cls, text: str) -> ComparedModel:
        """Reads ``NAME=SPEC``; SPEC is ``none`` or ``BASE.py``, ``WEIGHTS``, ``BASE.py+WEIGHTS``.

        ``@0.5`` at the end sets the gate scale.

        Raises:
            ValueError: If it is written otherwise.
            FileNotFoundError: If a file does not exist.
        """
        name, equals, spec = text.partition("=")
        if not equals or not name or not spec:
            raise ValueError(f"model {text!r}: expected NAME=none or NAME=FILE, e.g. base=none")
        scale = None
        if found := re.fullmatch(r"(.+)@([0-9.]+)", spec):
            spec, scale = found[1], float(found[2])
            if not 0 <= scale <= 1:
                raise ValueError(f"model {name!r}: the gate scale {scale} is not in [0, 1]")
        base = weights = None
        for part in [] if spec == "none" else spec.split("+"):
            if not Path(part).is_file():
                raise FileNotFoundError(f"model {name!r}: {part} does not exist")
            if part.endswith(".py"):
                base = part
            elif weights is None and part.endswith((".safetensors", ".pth", ".pt")):
                weights = part
            else:
                raise ValueError(f"model {name!r}: {part} is no .py, .safetensors, .pth or .pt")
        if scale is not None and weights is None:
            raise ValueError(f"model {name!r}: a gate scale needs the weights that have gates")
        return cls(name, base, weights, scale)

    def at(self, scale: float) -> ComparedModel:
        """The same model at another gate scale, named after it."""
        return replace(self, name=f"{self.name}@{scale:g}", scale=scale)


@dataclass(frozen=True)
class ComparedTask:
    """One row: a config that ``tools/test.py`` takes.

    Attributes:
        name: Row name.
        config: The file.
    """

    name: str
    config: str

    @classmethod
    def parse(cls, text: str) -> ComparedTask:
        """Reads ``NAME=CONFIG`` or ``CONFIG``, whose name is then the file's.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        name, equals, path = text.partition("=")
        if not equals:
            name, path = Path(text).stem, text
        if not Path(path).is_file():
            raise FileNotFoundError(f"task {text!r}: config {path} does not exist")
        return cls(name, path)


def check_names(entries: Sequence[ComparedModel] | Sequence[ComparedTask]) -> None:
    """Refuses two entries of one name.

    Raises:
        ValueError: Naming it.
    """
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the name {name!r} is given twice; write NAME=...")


def task_config(
    task: ComparedTask, model: ComparedModel, options: Mapping[str, Any] | None = None
) -> Config:
    """The task's config with the model in it.

    Args:
        task: The row.
        model: The column.
        options: As from ``--cfg-options``, for every task.

    Raises:
        ValueError: If the weights have no place in the task's model.
    """
    config = load_config(task.config, options)
    if model.base is not None:
        _replace_model(config, Config.fromfile(model.base))
    if model.weights is not None:
        _put_weights(config, model)
    return config


def native_preprocessing(model: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`react_mm.ResizeCenterCrop` that a base was made for.

    Args:
        model: Config of :class:`react_mm.CLIP`, or of a model around one.

    Returns:
        ``size``, and where the weights say so ``interpolation`` and ``resize_mode`` (SigLIP
        squashes); what the config does not tell is left out.
    """
    tower = (holder_of_towers(model) or {}).get("image_tower") or {}
    arch, found = tower.get("arch"), {}
    if arch is not None:
        known = open_clip.get_model_config(resolve_architecture(arch)) or {}
        size = known.get("vision_cfg", {}).get("image_size")
        found["size"] = size[0] if isinstance(size, list | tuple) else size
        if tower.get("pretrained"):
            released = open_clip.get_pretrained_cfg(arch, tower["pretrained"]) or {}
            found |= {k: released[k] for k in ("interpolation", "resize_mode") if k in released}
    if "image_size" in tower:
        found["size"] = tower["image_size"]
    return {name: value for name, value in found.items() if value is not None}


def holder_of_towers(model: Mapping[str, Any]) -> Any:
    """The part of a model's config that has the towers: itself, or the base of RECO; else None."""
    for part in (model, model.get("base")):
        if isinstance(part, Mapping) and "image_tower" in part:
            return part
    return None


def _replace_model(config: Config, other: Config) -> None:
    if "model" not in other or holder_of_towers(other.model) is None:
        raise ValueError(f"{other.filename} has no `model` with an image_tower to compare")
    own = holder_of_towers(config.model)
    if own is None:
        raise ValueError(f"{config.filename}: its model has no towers that a base could replace")
    new = copy.deepcopy(other.model)
    if "templates" in own:
        holder_of_towers(new)["templates"] = own["templates"]
    config.model = new
    for transform in config.test_dataloader.dataset.get("pipeline", ()):
        if transform.get("type") == "react_mm.ResizeCenterCrop":
            transform.update(native_preprocessing(new))


def _put_weights(config: Config, model: ComparedModel) -> None:
    path = str(model.weights)
    place = holder_of_towers(config.model) or config.model.get("backbone")
    if path.endswith((".pth", ".pt")):
        if model.scale is not None:
            raise ValueError(f"model {model.name!r}: a checkpoint has no gate scale to set")
        config.load_from = path
        return
    if place is None:
        raise ValueError(
            f"{config.filename}: its model has neither towers nor a backbone that could take {path}"
        )
    if card_path(path).is_file():
        place["delta"] = path
        if model.scale is not None:
            place["gate_scale"] = model.scale
        return
    if model.scale is not None:
        raise ValueError(f"model {model.name!r}: {path} has no card, so no gates to scale")
    towers = [place.image_tower, place.text_tower] if "image_tower" in place else [place]
    for tower in towers:
        tower["checkpoint"] = path
        tower["pretrained"] = None


def as_plain(value: Any) -> Any:
    """A part of a config as JSON types."""
    if isinstance(value, ConfigDict | Mapping):
        return {str(k): as_plain(v) for k, v in value.items() if k != "_scope_"}
    if isinstance(value, list | tuple):
        return [as_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
