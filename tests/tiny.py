"""Tiny CLIPs for tests: open_clip JSON architectures, random weights, milliseconds a forward."""

import json
from pathlib import Path

IMAGE = {"image_size": 32, "layers": 4, "width": 64, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def write_architecture(folder: Path, name: str = "tiny", **changes: object) -> str:
    """Writes an architecture file; ``vision`` and ``text`` update the parts, the rest the top."""
    vision, text = changes.pop("vision", {}), changes.pop("text", {})
    config = {"embed_dim": 32, "vision_cfg": {**IMAGE, **vision}, "text_cfg": {**TEXT, **text}}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**config, **changes}))
    return str(path)


def write_weights(arch: str, path: Path, seed: int = 0) -> str:
    """Saves random weights of an architecture by open_clip alone, so that two builds are equal."""
    import open_clip
    import safetensors.torch
    import torch

    open_clip.add_model_config(Path(arch))
    torch.manual_seed(seed)
    model = open_clip.create_model(Path(arch).stem)
    safetensors.torch.save_file(
        {k: v.clone().contiguous() for k, v in model.state_dict().items()}, path
    )
    return str(path)


def clip_config(arch: str, checkpoint: str | None, **options: object) -> dict:
    """Config of ``react_mm.CLIP`` on a tiny architecture."""
    tower = {"arch": arch, "checkpoint": checkpoint}
    return {
        "type": "react_mm.CLIP",
        "image_tower": {"type": "react_mm.CLIPViT", **tower},
        "text_tower": {"type": "react_mm.CLIPText", **tower},
        **options,
    }


def build(base: tuple[str, str], **options: object) -> object:
    """``react_mm.CLIP`` on a tiny base (architecture, checkpoint)."""
    from react_mm.registry import MODELS

    return MODELS.build(clip_config(*base, **options))


CAPTIONS = ["a red cat", "two dogs", "the sea", "an old boat", "bread", "a tree"]


def batch(seed: int = 0, general: int = 2) -> dict:
    """Six images with captions, of which the last ``general`` are general images."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=generator)
    role = torch.tensor([0] * (6 - general) + [1] * general)
    return {"inputs": images, "caption": CAPTIONS, "role": role}


def train(model: object, steps: int = 3, gate_lr: float = 0.05) -> list[dict]:
    """A few steps of training with the parameter groups of customization."""
    from react_mm.engine.optim_constructor import CustomizationOptimConstructor

    config = {"optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.1}}
    wrapper = CustomizationOptimConstructor(config, {"gate_lr": gate_lr})(model)
    model.train()
    return [model.train_step(batch(i), wrapper) for i in range(steps)]


def open_gates(module: object, seed: int = 0) -> None:
    """Gives every gate a value far from zero and every gated block weights that matter."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "alpha_" in name:
                parameter.copy_(0.4 + torch.rand(parameter.shape, generator=generator))
