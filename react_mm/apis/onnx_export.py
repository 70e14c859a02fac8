"""ONNX files of image and text towers, each checked against torch and described by a card."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from react_mm.apis.onnx_modules import ImageEmbedder, TextEmbedder
from react_mm.checkpoints import content_hash
from react_mm.manifest import atomic_path, sha256_file, write_json

OPSET = 18
LARGEST = 2**31 - 2**20  # bytes of one protobuf file
TOLERANCE = 1e-3  # of the largest absolute value, per output
EXTRA = "install the extra 'onnx': pip install -e '.[onnx]'"


def require_onnx() -> None:
    """Refuses to begin without the packages that export needs.

    Raises:
        ModuleNotFoundError: Naming the missing packages and the extra that brings them.
    """
    missing = []
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            missing.append(name)
    if missing:
        raise ModuleNotFoundError(f"ONNX export needs {' and '.join(missing)}: {EXTRA}")


def export_towers(
    image_tower: nn.Module | None,
    text_tower: nn.Module | None,
    out: str | Path,
    size: tuple[int, int] | None = None,
    open_size: bool = False,
) -> dict[str, Any]:
    """Writes ``image.onnx`` and ``text.onnx`` with a card, after checking their numbers.

    The batch is open in both. Images are RGB, normalised by the card's mean and std.

    Args:
        image_tower: An image tower, or None.
        text_tower: :class:`react_mm.CLIPText`, or None.
        out: Folder to write to.
        size: Height and width in pixels; None: the tower's native size.
        open_size: Whether any multiple of the stride may be given instead of one size.

    Returns:
        The card, which is also written as ``card.json``: per file its inputs, outputs, hash, the
        weights' hash, the preprocessing, and how far its numbers are from torch's.

    Raises:
        ModuleNotFoundError: If the extra ``onnx`` is not installed.
        ValueError: If a tower cannot be exported, or the file's numbers are not torch's.
    """
    require_onnx()
    if size is not None and open_size:
        raise ValueError("give a size or leave it open, not both")
    out, card = Path(out), {}
    if image_tower is not None:
        native = tuple(image_tower.preprocess["size"])
        module = ImageEmbedder(image_tower, None if open_size else tuple(size or native)).eval()
        card["image"] = {
            **_write(module, _images(module, native), out / "image.onnx"),
            "size": "open" if open_size else list(module.size),
            "stride": getattr(image_tower, "stride", None),
            "embed_dim": image_tower.embed_dim,
            "dense_mode": getattr(image_tower, "dense_mode", None),
            "gate_scale": image_tower.gate_scale,
            "preprocess": {k: _plain(v) for k, v in image_tower.preprocess.items()},
            "weights_hash": content_hash(image_tower.state_dict()),
        }
    if text_tower is not None:
        module = TextEmbedder(text_tower).eval()
        texts = (["a photo of a cat.", "two dogs"], ["the sea", "a", "an old boat by a tree"])
        tokens = [(text_tower.tokenize(group),) for group in texts]
        card["text"] = {
            **_write(module, tokens, out / "text.onnx"),
            "context_length": int(tokens[0][0].shape[1]),
            "arch": text_tower.arch,
            "weights_hash": content_hash(text_tower.state_dict()),
        }
    write_json(out / "card.json", card)
    return card


def _images(module: ImageEmbedder, native: tuple[int, int]) -> list[tuple[Tensor]]:
    """Inputs of two batch sizes, and where the size is open, of two sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = [module.size, module.size]
    if module.size is None:
        stride = module.tower.stride
        sizes = [native, (native[0] + 2 * stride, max(stride, native[1] - stride))]
    return [
        (torch.randn(batch, 3, *size, generator=generator),)
        for batch, size in zip((2, 3), sizes, strict=True)
    ]


def _write(module: nn.Module, inputs: Sequence[tuple[Tensor]], path: Path) -> dict[str, Any]:
    """Exports with the first inputs, checks with all, and says what was written."""
    bytes_ = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    if bytes_ > LARGEST:
        raise ValueError(
            f"{path.name}: {bytes_ / 2**30:.1f} GiB of weights, ONNX holds 2 in a file"
        )
    name = "images" if isinstance(module, ImageEmbedder) else "tokens"
    program = torch.onnx.export(
        module,
        inputs[0],
        dynamo=True,
        input_names=[name],
        output_names=list(module.outputs),
        dynamic_shapes=(_open_axes(module),),
        opset_version=OPSET,
        verbose=False,
    )
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)
        checked = check_file(temporary, module, inputs)
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "input": name,
        "outputs": list(module.outputs),
        "opset": OPSET,
        "checked": checked,
    }


def _open_axes(module: nn.Module) -> dict[int, Any]:
    """Axes of the input that stay open: the batch, and where no size is given, both sides."""
    axes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if isinstance(module, ImageEmbedder) and module.size is None:
        axes |= {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    return axes


def check_file(
    path: str | Path, module: nn.Module, inputs: Sequence[tuple[Tensor]]
) -> dict[str, Any]:
    """Compares an ONNX file with the torch module it was made from.

    Args:
        path: ONNX file with one input.
        module: The module.
        inputs: Inputs, one tensor each, of several batch sizes.

    Returns:
        ``runtime``, and per output the largest absolute difference and the largest absolute value.

    Raises:
        ValueError: If an output differs by more than :data:`TOLERANCE` of its largest value.
    """
    runtime, run = _session(path)
    found: dict[str, Any] = {"runtime": runtime}
    for (given,) in inputs:
        with torch.no_grad():
            expected = module(given)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for name, ours, theirs in zip(module.outputs, expected, run(given.numpy()), strict=True):
            ours = ours.numpy()
            if ours.shape != theirs.shape:
                raise ValueError(f"{path}: {name} has shape {theirs.shape}, torch {ours.shape}")
            largest, off = float(np.abs(ours).max()), float(np.abs(ours - theirs).max())
            if not off <= TOLERANCE * largest:
                raise ValueError(
                    f"{path}: {name} differs from torch by {off:.3g}, its largest value is "
                    f"{largest:.3g} ({runtime}, input {tuple(given.shape)})"
                )
            entry = found.setdefault(name, {"max_difference": 0.0, "max_value": 0.0})
            entry["max_difference"] = max(entry["max_difference"], off)
            entry["max_value"] = max(entry["max_value"], largest)
    return found


def _session(path: str | Path) -> tuple[str, Any]:
    """What runs the file: onnxruntime where it is installed, else onnx's reference evaluator."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        import onnx
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(path))
        name = evaluator.input_names[0]
        return f"onnx {onnx.__version__} reference", lambda x: evaluator.run(None, {name: x})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return f"onnxruntime {onnxruntime.__version__}", lambda x: session.run(None, {name: x})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, (tuple, list)) else value
