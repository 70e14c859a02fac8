"""The chain's config as checked settings; an unknown key or file is refused by name."""

from __future__ import annotations

import copy
import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from react_mm.engine.running import configs_folder
from react_mm.evaluation.gate_scale import ALLOWED_DROP, GATE_SCALES
from react_mm.suggestions import near_matches

BASE = "base"
"""Name of the arm without any customization."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A config of another kind inside the chain's.

    Attributes:
        config: The file: absolute, beside the chain's config, or below the shipped ``configs/``.
        options: As after ``--cfg-options``, dotted or nested.
    """

    config: Path
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class HoldOut:
    """Training images kept back for choices, where the benchmark has no validation split.

    Attributes:
        ann_file: Annotations of the training images with all classes, below the data root.
        img: Folder of the images, below the data root.
        number: How many images are kept back.
        seed: Which ones.
    """

    ann_file: str
    img: str
    number: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"detector.hold_out.number must be 1 or more, not {self.number}")


@dataclasses.dataclass(frozen=True)
class DetectorPart(Part):
    """The detector that is trained on the base classes once for each arm.

    Attributes:
        hold_out: Where the validation images come from; None: the config's ``val_dataloader``.
        novel_ap: Metric that the table shows first.
        base_ap: Its counterpart on the base classes.
    """

    hold_out: HoldOut | None = None
    novel_ap: str = "ov_coco/novel_ap50"
    base_ap: str = "ov_coco/base_ap50"


@dataclasses.dataclass(frozen=True)
class GateScalePart(Part):
    """On what the gate scale of each customization is chosen (validation data).

    Attributes:
        target: Metric of what the customization is for.
        other: Metric of what must not be lost.
        scales: Candidates.
        allowed_drop: How far ``other`` may fall below the base's, as a fraction.
    """

    target: str = ""
    other: str = ""
    scales: Sequence[float] = GATE_SCALES
    allowed_drop: float = ALLOWED_DROP

    def __post_init__(self) -> None:
        for field in ("target", "other"):
            if not getattr(self, field):
                raise ValueError(f"gate_scale.{field} is missing: give the name of a metric")


@dataclasses.dataclass(frozen=True)
class World:
    """The drawn world, drawn when it is not there.

    Attributes:
        folder: Where it lies.
        seed: None: the chain's seed.
    """

    folder: str = "data/toy"
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class ChainSettings:
    """The whole config.

    Attributes:
        names: Concept file (``name; synonym`` per line): what is retrieved, and what is novel. It
            lies below the working directory, beside the chain's config or below ``configs/``.
        work_dir: Output folder.
        retrieval: Retrieval config; its concepts and output folder become the chain's.
        customization: Arm name -> customization config.
        detector: The detector.
        gate_scale: How gate scales are chosen; None: as the stored customization says.
        score_weights: Candidates (base, novel) for the VLM score's weights, chosen on validation
            data by the mean over arms and over base and novel AP; empty: the detector's own.
        tests: Further test configs by name, such as GT-box accuracy.
        synonyms: ``coco`` or a file as ``names``; novel AP is measured once more with each of the
            names under its first synonym. None: not measured.
        metrics: Patterns of the metrics in the table besides each task's first.
        world: The drawn world, or None.
        seed: Of training.
        lanes: Jobs side by side; 1 runs them in this process (one GPU).
        device: Of the encoder while retrieving; None: a GPU where there is one.
        resume: Whether a killed training goes on from its newest checkpoint; else it starts anew.
    """

    names: str
    work_dir: Path
    retrieval: Part
    customization: Mapping[str, Part]
    detector: DetectorPart
    gate_scale: GateScalePart | None = None
    score_weights: Sequence[tuple[float, float]] = ()
    tests: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    synonyms: str | None = None
    metrics: Sequence[str] = ()
    world: World | None = None
    seed: int = 0
    lanes: int = 1
    device: str | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if not self.customization:
            raise ValueError("the chain's `customization` is empty: give at least one arm")
        for name in self.customization:
            if name == BASE or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(
                    f"customization: {name!r} cannot name an arm: letters, digits, - and _ only, "
                    f"and {BASE!r} is the arm without customization"
                )
        if self.lanes < 1:
            raise ValueError(f"lanes must be 1 or more, not {self.lanes}")

    @property
    def arms(self) -> tuple[str, ...]:
        """The base, then the customizations."""
        return (BASE, *self.customization)


def load_settings(
    path: str | Path, options: Mapping[str, Any] | None = None, work_dir: str | Path | None = None
) -> ChainSettings:
    """Reads a chain config.

    Args:
        path: Config file.
        options: As from ``--cfg-options``.
        work_dir: Instead of the config's.

    Raises:
        FileNotFoundError: If the file, or a config it names, does not exist.
        ValueError: Naming a key that is unknown, missing or of a wrong value.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"chain config {path} does not exist")
    config = Config.fromfile(str(path))
    config.merge_from_dict(copy.deepcopy(dict(options or {})))  # mmengine takes `_delete_` out
    content = config.to_dict()
    if work_dir is not None:
        content["work_dir"] = str(work_dir)
    content.setdefault("work_dir", str(Path("work_dirs") / "chain" / path.stem))
    folder = path.resolve().parent
    for key in ("names", "synonyms"):
        if isinstance(content.get(key), str):
            content[key] = _list_file(content[key], folder)
    return _parse(ChainSettings, content, "", folder)


def _list_file(name: str, folder: Path) -> str:
    """Where a list lies; the name itself where it does not (a world may be drawn yet)."""
    if Path(name).is_file():
        return name
    for place in (folder / name, configs_folder() / name):
        if place.is_file():
            return str(place)
    return name


def flat_options(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as dotted ones: ``{'a': {'b': 1}}`` to ``{'a.b': 1}``."""
    return dict(_flat(options, prefix))


def _flat(options: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse(kind: Any, content: Any, where: str, folder: Path) -> Any:
    """A settings object out of plain dictionaries."""
    if not isinstance(content, Mapping):
        raise ValueError(f"the chain's `{where}` must be a dict(...), not {content!r}")
    hints, dot = typing.get_type_hints(kind), f"{where}." if where else ""
    for key in content:
        if key not in hints:
            raise ValueError(
                f"the chain config has the unknown key {dot}{key}{near_matches(key, hints)}"
            )
    values = {k: _value(hints[k], v, f"{dot}{k}", folder) for k, v in content.items()}
    lacking = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if lacking:
        raise ValueError(f"the chain config lacks {', '.join(dot + name for name in lacking)}")
    return kind(**values)


def _value(hint: Any, value: Any, where: str, folder: Path) -> Any:
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        return _value(next(a for a in arguments if a is not types.NoneType), value, where, folder)
    if dataclasses.is_dataclass(hint):
        return _parse(hint, value, where, folder)
    if typing.get_origin(hint) is Mapping and dataclasses.is_dataclass(arguments[1]):
        if not isinstance(value, Mapping):
            raise ValueError(f"the chain's `{where}` must be a dict(...), not {value!r}")
        return {k: _parse(arguments[1], v, f"{where}.{k}", folder) for k, v in value.items()}
    if where.endswith("options"):
        return flat_options(value)
    if hint is Path:
        return Path(value) if where == "work_dir" else _find(value, where, folder)
    if hint in (int, bool) and not isinstance(value, hint):
        raise ValueError(f"the chain's `{where}` must be {hint.__name__}, not {value!r}")
    return value


def _find(name: str, where: str, folder: Path) -> Path:
    places = [Path(name)] if Path(name).is_absolute() else [folder / name, configs_folder() / name]
    for place in places:
        if place.is_file():
            return place.resolve()
    tried = " nor ".join(str(place) for place in places)
    known = [p.relative_to(configs_folder()).as_posix() for p in configs_folder().rglob("*.py")]
    raise FileNotFoundError(
        f"the chain's `{where}`: there is no {tried}{near_matches(str(name), known)}"
    )
