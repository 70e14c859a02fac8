"""Which keys a part of a config may have: the arguments of what is built from it."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.hooks import CheckpointHook
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    DefaultScope,
    Registry,
)
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import react_mm.registry as own
from react_mm.suggestions import near_matches

RUNNER_KEYS = frozenset(set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"})

# A path in a config, the registry that builds what stands there, and what the builder takes itself.
# A list index is written #.
_BUILT: list[tuple[str, Registry, frozenset[str]]] = [
    (r"(train|val|test)_dataloader\.dataset", DATASETS, frozenset()),
    (r"(train|val|test)_dataloader\.sampler", DATA_SAMPLERS, frozenset()),
    (r"optim_wrapper", OPTIM_WRAPPERS, frozenset({"constructor", "paramwise_cfg", "optimizer"})),
    (r"optim_wrapper\.optimizer", OPTIMIZERS, frozenset()),
    (r"param_scheduler(\.#)?", PARAM_SCHEDULERS, frozenset({"convert_to_iter_based"})),
    (r"(default_hooks\.\w+|custom_hooks\.#)", HOOKS, frozenset({"priority"})),
    (r"(val|test)_evaluator(\.#|\.metrics\.#)?", METRICS, frozenset()),
]
_LOOPS = {"train_cfg": "IterBasedTrainLoop", "val_cfg": "ValLoop", "test_cfg": "TestLoop"}
_LOADER = frozenset(inspect.signature(DataLoader.__init__).parameters) - {"self"}
_LOADER_ALSO = frozenset({"num_batch_per_epoch", "disable_subprocess_warning"})
_OUR_REGISTRIES = (
    own.MODELS,
    own.DATASETS,
    own.TRANSFORMS,
    own.METRICS,
    own.HOOKS,
    own.DATA_SAMPLERS,
    own.OPTIM_WRAPPERS,
    own.TASK_UTILS,
)


def accepted_arguments(node: Mapping[str, Any], where: str) -> set[str] | None:
    """Keys that may stand in ``node``.

    Args:
        node: A part of a config.
        where: Its dotted path.

    Returns:
        The keys, or None where they are not known (free-form parts, classes with ``**kwargs`` that
        pass them on to code that is not theirs).

    Raises:
        KeyError: If ``type`` names something of ours that does not exist.
    """
    place = re.sub(r"\.\d+(?=\.|$)", ".#", where)
    kind = node.get("type")
    if place == "compile":
        return set(inspect.signature(torch.compile).parameters) - {"model"}
    if re.fullmatch(r"(train|val|test)_dataloader", place):
        return set(_LOADER | _LOADER_ALSO)
    if place in _LOOPS:
        default = "EpochBasedTrainLoop" if node.get("by_epoch") else _LOOPS[place]
        return _arguments(_find(LOOPS, kind or default), frozenset({"by_epoch"}))
    if kind is None:
        return None
    if isinstance(kind, str) and kind.startswith("react_mm."):
        built = _own_class(kind, where)
        extra = next((e for pattern, _, e in _BUILT if re.fullmatch(pattern, place)), frozenset())
        return _arguments(built, extra)
    for pattern, registry, extra in _BUILT:
        if re.fullmatch(pattern, place):
            if registry is METRICS and kind == "Evaluator":
                registry = EVALUATOR
            return _arguments(_find(registry, kind), extra)
    return None


def _own_class(kind: str, where: str) -> Callable:
    name = kind.removeprefix("react_mm.")
    known: set[str] = set()
    for registry in _OUR_REGISTRIES:
        registry.import_from_location()
        known |= set(registry.module_dict)
        if name in registry.module_dict:
            return registry.module_dict[name]
    constructors = own.OPTIM_WRAPPER_CONSTRUCTORS
    constructors.import_from_location()
    if name in constructors.module_dict:
        return constructors.module_dict[name]
    raise KeyError(f"config key {where}.type: there is no {kind}{near_matches(name, known)}")


def _find(registry: Registry, kind: Any) -> Callable | None:
    if not isinstance(kind, str):
        return kind
    scope = DefaultScope.get_current_instance()
    try:
        with registry.switch_scope_and_registry(scope.scope_name if scope else None) as found:
            return found.get(kind)
    except Exception:  # an unknown type is reported by the builder, with its own message
        return None


def _arguments(built: Callable | None, extra: frozenset[str]) -> set[str] | None:
    """Argument names of a class along its bases, as long as each passes ``**kwargs`` on."""
    if built is None:
        return None
    names = {"type", "_scope_"} | set(extra)
    for base in inspect.getmro(built) if inspect.isclass(built) else (built,):
        call = base.__dict__.get("__init__") if inspect.isclass(base) else base
        if call is None:
            continue
        parameters = inspect.signature(call).parameters.values()
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if base is CheckpointHook or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {"self"}
    return None
