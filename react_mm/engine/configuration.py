"""Reads a config with command-line options, and refuses keys that nothing would read."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from react_mm.engine.config_arguments import RUNNER_KEYS, accepted_arguments
from react_mm.suggestions import near_matches

ALSO_TOP_LEVEL = frozenset(
    (
        "default_scope",
        "custom_imports",
        "auto_scale_lr",
        "fp16",
        "activation_checkpointing",
        "efficient_conv_bn_eval",
        "compile",
        "model_wrapper_cfg",
        "find_unused_parameters",
        "runner_type",
        "tta_model",
        "tta_pipeline",
        "train_pipeline",
        "test_pipeline",
    )
)


class ConfigKeyError(KeyError):
    """A key of a config or of the command line that does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file, applies options, and checks every key.

    Args:
        path: Config file.
        options: ``{'a.b.0.c': value}`` as from ``--cfg-options``. A top-level variable of the
            config that other values were made from (``retrieved = 'work_dirs/...'``) is changed in
            those values, too; plain mmengine would change the variable without effect.

    Raises:
        FileNotFoundError: If there is no such file.
        ConfigKeyError: If a key does not exist; the message gives near matches.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"config {path} does not exist")
    config = Config.fromfile(str(path))
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        # A base inherited as `react_mm::...` gets scopes; mmengine hands this one to the function.
        if isinstance((config.get(loader) or {}).get("collate_fn"), Mapping):
            config[loader]["collate_fn"].pop("_scope_", None)
    options = dict(options or {})
    _check_options(config, options)
    for name in [name for name in options if _is_variable(config, name)]:
        _change_variable(config, name, options.pop(name))
    config.merge_from_dict(options)
    check_config(config)
    _drop_late_schedulers(config)
    return config


def check_config(config: Config) -> None:
    """Checks the top-level keys, the arguments of what is built, and the batch of the sampler.

    Raises:
        ConfigKeyError: If a key does not exist.
        ValueError: If ``batch_size`` is not what the sampler's roles add up to, two options exclude
            each other, or one has no effect without another.
    """
    _check_top_level(config)
    for where, node in _walk(config._cfg_dict, ""):
        _check_arguments(where, node)
    _check_ignored_boxes(config)
    if config.get("compile") and (config.get("model") or {}).get("chunk_size") is not None:
        raise ValueError(
            "compile and model.chunk_size exclude each other: a chunk is embedded again in the "
            "backward pass, which torch.compile has not been shown to trace; leave out one of them"
        )
    loader = config.get("train_dataloader") or {}
    sampler = loader.get("sampler") or {}
    wanted = [sampler.get(k) for k in ("pairs_per_batch", "general_per_batch")]
    if any(w is not None for w in wanted) and sum(w or 0 for w in wanted) != loader.get(
        "batch_size"
    ):
        raise ValueError(
            f"train_dataloader.batch_size is {loader.get('batch_size')}, but its sampler's "
            f"pairs_per_batch + general_per_batch are {sum(w or 0 for w in wanted)}"
        )


def _check_ignored_boxes(config: Config) -> None:
    """A data set that hands over ignored boxes and assigners that all pass over them."""
    data = (config.get("train_dataloader") or {}).get("dataset") or {}
    data = data.get("dataset", data)
    nodes = _walk((config.get("model") or {}).get("train_cfg") or {}, "model.train_cfg")
    found = {where: n["ignore_iof_thr"] for where, n in nodes if "ignore_iof_thr" in n}
    if data.get("ignore_novel") and found and all(value <= 0 for value in found.values()):
        raise ValueError(
            "train_dataloader.dataset.ignore_novel is set, but the assigners pass over ignored "
            f"boxes: set {' and '.join(f'{w}.ignore_iof_thr' for w in found)} to 0.5"
        )


def _drop_late_schedulers(config: Config) -> None:
    """A schedule that begins after the last step never acts, and mmengine would refuse it."""
    schedulers, loop = config.get("param_scheduler"), config.get("train_cfg") or {}
    if not isinstance(schedulers, list) or "max_iters" not in loop:
        return
    late = [s for s in schedulers if not s.get("by_epoch", True)]
    late = [s for s in late if "end" not in s and s.get("begin", 0) >= loop["max_iters"]]
    for scheduler in late:
        print_log(
            f"{scheduler['type']} left out: it begins at step {scheduler['begin']} "
            f"of {loop['max_iters']}",
            logger="current",
        )
    if late:
        config.param_scheduler = [s for s in schedulers if s not in late]


def _check_options(config: Config, options: Mapping[str, Any]) -> None:
    for dotted in options:
        node, walked = config._cfg_dict, []
        for part in dotted.split("."):
            node = _step(node, part, dotted, walked)
            walked.append(part)


def _step(node: Any, part: str, dotted: str, walked: list[str]) -> Any:
    place = ".".join(walked) or "the config"
    if isinstance(node, (list, tuple)):
        if not part.isdigit() or int(part) >= len(node):
            raise ConfigKeyError(
                f"--cfg-options {dotted}: {place} is a list of {len(node)} entries"
            )
        return node[int(part)]
    if not isinstance(node, Mapping):
        raise ConfigKeyError(
            f"--cfg-options {dotted}: {place} is the value {node!r} and has no {part!r} in it"
        )
    if part in node:
        return node[part]
    known = set(node)
    if not walked:
        known |= RUNNER_KEYS | ALSO_TOP_LEVEL
    else:
        known |= accepted_arguments(node, ".".join(walked)) or set()
    if part not in known:
        raise ConfigKeyError(
            f"--cfg-options {dotted}: {place} has no key {part!r}{near_matches(part, known)}"
        )
    return ConfigDict()


def _is_variable(config: Config, name: str) -> bool:
    return name in config and name not in RUNNER_KEYS | ALSO_TOP_LEVEL


def _change_variable(config: Config, name: str, value: Any) -> None:
    old, places = config[name], []
    if isinstance(old, str) and len(old) > 1:
        for where, node in _containers(config._cfg_dict, ""):
            for key, item in list(node.items() if isinstance(node, Mapping) else enumerate(node)):
                if isinstance(item, str) and (where or key != name) and _starts(item, old):
                    node[key] = str(value) + item[len(old) :]
                    places.append(f"{where}.{key}".lstrip("."))
    if not places:
        raise ConfigKeyError(
            f"--cfg-options {name}: it is a variable of the config file, used when the file was "
            "read; changing it now has no effect. Set the key made from it"
        )
    config[name] = value
    print_log(f"{name} = {value!r} in {', '.join(places)}", logger="current")


def _starts(text: str, prefix: str) -> bool:
    return text == prefix or text.startswith(prefix.rstrip("/") + "/")


def _containers(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (Mapping, list)):
        yield where, node
        for key, item in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _containers(item, f"{where}.{key}".lstrip("."))


def _walk(node: Any, where: str) -> Iterator[tuple[str, Mapping]]:
    for path, container in _containers(node, where):
        if isinstance(container, Mapping) and path:
            yield path, container


def _check_top_level(config: Config) -> None:
    """A name in the file itself that is no key and that nothing in the text uses is a mistake."""
    known = RUNNER_KEYS | ALSO_TOP_LEVEL
    text = config.text or ""
    own = Path(config.filename).read_text(encoding="utf-8") if config.filename else ""
    for name in config:
        if name in known or not re.search(rf"^{re.escape(name)}\s*=", own, re.MULTILINE):
            continue
        uses = len(re.findall(rf"\b{re.escape(name)}\b", text))
        assigned = len(re.findall(rf"^{re.escape(name)}\s*=(?!=)", text, re.MULTILINE))
        if uses <= assigned:
            raise ConfigKeyError(
                f"config {config.filename}: nothing reads the key {name!r}"
                f"{near_matches(name, known)}"
            )


def _check_arguments(where: str, node: Mapping) -> None:
    accepted = accepted_arguments(node, where)
    if accepted is None:
        return
    for key in node:
        if key not in accepted:
            what = node.get("type", where)
            raise ConfigKeyError(
                f"config key {where}.{key} does not exist: {getattr(what, '__name__', what)} "
                f"has no argument {key!r}{near_matches(str(key), accepted)}"
            )
