"""Models, pictures and customizations of the drawn world's tiny tower, for tests of inference."""

from pathlib import Path

import numpy as np
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CLASSIFIER = CONFIGS / "zero_shot_classification" / "toy-vit_toy.py"
SEGMENTOR = CONFIGS / "segmentation" / "local_toy-vit_toy.py"
DETECTOR = CONFIGS / "detection" / "fvlm_toy-vit_fpn_toy.py"
NAMES = ("cat", "bus", "apple", "moon")
EVERY_BOX = {"model.test_cfg.rcnn.score_thr": 0.0, "model.test_cfg.rcnn.max_per_img": 30}


def picture(width=72, height=56, seed=0):
    """Blocks of colour with noise, RGB."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-12, 13, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))


def write_folder(folder, sizes=((72, 56), (64, 64), (90, 41))):
    """PNG files of several sizes, one of them in a subfolder; returns their names."""
    names = []
    for seed, (width, height) in enumerate(sizes):
        name = f"{'sub/' if seed == 1 else ''}{seed}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(width, height, seed).save(folder / name)
        names.append(name)
    return sorted(names)


def write_gated_delta(path, seed=0):
    """A customization of toy-vit whose gates are wide open."""
    import torch
    from mmengine.config import Config

    from react_mm.checkpoints import save_delta
    from react_mm.registry import MODELS
    from tests.tiny import open_gates

    config = Config.fromfile(str(CONFIGS / "_base_" / "models" / "clip_toy.py"))
    torch.manual_seed(seed)
    model = MODELS.build({**config.model, "method": "gated-image"})
    open_gates(model, seed)
    return save_delta(model, path)


def detector_checkpoint(path, seed=0, delta=None, **meta):
    """A checkpoint of the toy detector with random heads, as mmengine writes it."""
    import torch
    from mmengine.config import ConfigDict
    from mmengine.registry import MODELS, DefaultScope

    from react_mm.engine.configuration import load_config

    config = load_config(DETECTOR)
    if delta is not None:
        config.model.backbone["delta"] = str(delta)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(ConfigDict(config.model))
        model.init_weights()
    torch.save({"meta": meta, "state_dict": model.state_dict()}, path)
    return path
