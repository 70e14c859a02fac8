"""CLIP towers from open_clip: by architecture name, by JSON file, with a tag or a local checkpoint.

Weights are loaded with safetensors or ``weights_only=True`` alone, never through TorchScript.
"""

import contextlib
import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from torch import nn

from react_mm.checkpoints import check_keys, load_state, strip_prefixes
from react_mm.models.layers.gated_attention import BLOCK_NAME
from react_mm.suggestions import near_matches

PACKAGED_ARCHITECTURES = {"toy-vit": "toy/toy-vit.json"}
PACKAGED_WEIGHTS = {("toy-vit", "drawn-world"): "toy/clip_toy.safetensors"}
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's state dicts
_PACKAGE = Path(__file__).resolve().parent.parent


def resolve_architecture(arch: str) -> str:
    """Makes ``arch`` known to open_clip and returns its name there.

    Args:
        arch: An open_clip architecture (``ViT-B-16-quickgelu``), one that ships with react_mm
            (``toy-vit``), or the path of a JSON file in open_clip's ``model_configs`` format. A
            relative ``text_cfg.tokenizer_kwargs.bpe_path`` is read relative to the JSON file.

    Raises:
        FileNotFoundError: If a ``.json`` path does not exist.
        ValueError: If the name is unknown (near matches are named) or the JSON is no architecture.
    """
    path = _PACKAGE / PACKAGED_ARCHITECTURES[arch] if arch in PACKAGED_ARCHITECTURES else None
    if path is None and arch.endswith(".json"):
        path = Path(arch).expanduser().resolve()
    if path is not None:
        return _register_json(path)
    if arch in open_clip.list_models():
        return arch
    known = [*open_clip.list_models(), *PACKAGED_ARCHITECTURES]
    raise ValueError(
        f"unknown architecture {arch!r}{near_matches(arch, known)}; or give a .json file"
    )


def _register_json(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"architecture file {path} does not exist")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"architecture file {path} is not JSON: {error}") from error
    missing = [k for k in ("embed_dim", "vision_cfg", "text_cfg") if k not in config]
    if missing:
        raise ValueError(f"architecture file {path} lacks {missing}: not open_clip's format")
    # The name in open_clip's global table carries the content, so that two files of one stem
    # (or an edited one) never shadow each other.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = f"{path.stem}-{digest}"
    if name not in open_clip.list_models():
        config = copy.deepcopy(config)
        kwargs = config["text_cfg"].get("tokenizer_kwargs", {})
        if "bpe_path" in kwargs:
            kwargs["bpe_path"] = str((path.parent / kwargs["bpe_path"]).resolve())
        open_clip.factory._MODEL_CONFIGS[name] = config
    return name


def resolve_weights(arch: str, pretrained: str | None, checkpoint: str | None) -> Path | None:
    """The local weights file for an architecture, or None for random or open_clip's own tags.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        ValueError: If the tag is unknown for ``arch`` (near matches are named), both are given, or
            the tag's weights belong to the QuickGELU definition (open_clip only warns).
    """
    if pretrained and checkpoint:
        raise ValueError(f"give a pretrained tag ({pretrained!r}) or a checkpoint, not both")
    if checkpoint is not None:
        path = Path(checkpoint).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"checkpoint {path} does not exist")
        return path
    if pretrained is None:
        return None
    if (arch, pretrained) in PACKAGED_WEIGHTS:
        return _PACKAGE / PACKAGED_WEIGHTS[arch, pretrained]
    tags = open_clip.list_pretrained_tags_by_model(arch)
    tags += [tag for name, tag in PACKAGED_WEIGHTS if name == arch]
    if pretrained not in tags:
        raise ValueError(
            f"unknown pretrained tag {pretrained!r} for {arch}{near_matches(pretrained, tags)}; "
            f"known: {', '.join(tags) or 'none'}"
        )
    quick = open_clip.get_pretrained_cfg(arch, pretrained).get("quick_gelu", False)
    if quick and not open_clip.get_model_config(arch).get("quick_gelu", False):
        raise ValueError(
            f"the weights {pretrained!r} of {arch} were trained with QuickGELU, which this "
            f"definition lacks: use arch='{arch}-quickgelu'"
        )
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def load_open_clip(
    arch: str, pretrained: str | None = None, checkpoint: str | None = None
) -> CLIP | CustomTextCLIP:
    """Builds an open_clip model in float32 and eval mode, with its own weight names.

    Args:
        arch: See :func:`resolve_architecture`.
        pretrained: A tag of open_clip (``openai``, ``laion2b_s34b_b88k``: downloaded by open_clip
            as safetensors), or ``drawn-world`` for ``toy-vit``. None: random weights.
        checkpoint: A local state dict (.safetensors, or .pt/.pth loaded with ``weights_only``)
            instead of a tag. The gated blocks of a REACT release are put aside in the model's
            attribute ``official_gates`` for :class:`react_mm.CLIPViT`.

    Raises:
        FileNotFoundError, ValueError: See the two functions above; also when the checkpoint is of
            another architecture (names its missing, unexpected and mis-shaped keys).
    """
    name, gates = resolve_architecture(arch), {}
    path = resolve_weights(arch, pretrained, checkpoint)
    # On the meta device (config checks) nothing is read: only shapes count there.
    if path is None and pretrained and torch.get_default_device().type != "meta":
        model = open_clip.create_model(name, pretrained=pretrained, weights_only=True)
    else:
        device = torch.get_default_device()
        tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
        own = {key: tag[key] for key in PREPROCESSING if tag.get(key)}
        with _quiet():  # open_clip warns "no pretrained weights"; they are loaded below, checked
            model = open_clip.create_model(
                name, load_weights=False, device=device, force_preprocess_cfg=own
            )
        if path is not None and device.type != "meta":
            state = strip_prefixes(load_state(path))
            for key in NO_WEIGHTS:
                state.pop(key, None)
            gates = {key: state.pop(key) for key in list(state) if f".{BLOCK_NAME}." in key}
            check_keys(model, state, f"{path} for architecture {arch}")
            model.load_state_dict(state)
    model.float().eval()
    model.official_gates = {key: value.float() for key, value in gates.items()}
    return model


def tokenizer_of(arch: str) -> nn.Module | object:
    """open_clip's tokenizer of an architecture: ``tokenizer(list[str]) -> int64 (N, length)``."""
    return open_clip.get_tokenizer(resolve_architecture(arch))
