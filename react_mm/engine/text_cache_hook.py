"""Caption embeddings computed once while the text tower is frozen."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from tqdm import tqdm

from react_mm.checkpoints import content_hash
from react_mm.engine.vocabulary_hook import innermost
from react_mm.manifest import atomic_path, read_json, sha256_file, write_json
from react_mm.registry import HOOKS


@HOOKS.register_module()
class TextCacheHook(Hook):
    """Before training, embeds the distinct captions of the training set, or finds them embedded.

    The embeddings are float32, L2-normalised, in ``<key>.npy``, memory-mapped; the key is made of
    the text tower's weights and of the captions, so another tower or another set has another file.
    A file that does not have the sha256 noted beside it is made anew. Models that train their text
    tower are left alone.

    Args:
        cache_dir: Folder of the cache; default ``<work_dir>/text_cache``.
        batch_size: Captions encoded at once.
    """

    priority = "NORMAL"

    def __init__(self, cache_dir: str | None = None, batch_size: int = 256) -> None:
        self.cache_dir = cache_dir
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        """Embeds what is missing and hands the table to the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        captions = getattr(innermost(runner.train_dataloader.dataset), "captions", None)
        if not getattr(model, "text_frozen", False) or not captions:
            return
        folder = Path(self.cache_dir or Path(runner.work_dir) / "text_cache")
        path = folder / f"{cache_key(model, captions)}.npy"
        if is_main_process() and not is_intact(path):
            runner.logger.info(f"embedding {len(captions)} captions once into {path}")
            self._embed(model, captions, path)
        barrier()
        table = np.load(path, mmap_mode="c")  # copy on write: torch wants a writable array
        if table.shape != (len(captions), model.image_tower.embed_dim):
            raise ValueError(
                f"text cache {path} has shape {table.shape}, expected "
                f"({len(captions)}, {model.image_tower.embed_dim}): remove it"
            )
        model.set_text_cache(torch.from_numpy(table))

    @torch.no_grad()
    def _embed(self, model: Any, captions: list[str], path: Path) -> None:
        shape = (len(captions), model.image_tower.embed_dim)
        with atomic_path(path) as temporary:
            table = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            for start in tqdm(range(0, len(captions), self.batch_size), "captions", leave=False):
                texts = captions[start : start + self.batch_size]
                rows = F.normalize(model.encode_text(texts).float(), dim=-1).cpu().numpy()
                if not np.isfinite(rows).all():
                    bad = texts[int(np.flatnonzero(~np.isfinite(rows).all(1))[0])]
                    raise ValueError(f"the text tower gives no finite embedding for {bad!r}")
                table[start : start + len(texts)] = rows
            table.flush()
            del table
        write_json(path.with_suffix(".json"), {"sha256": sha256_file(path), "captions": shape[0]})


def cache_key(model: Any, captions: list[str]) -> str:
    """sha256 (32 hex digits) over the text tower, its weights, and the captions in order."""
    architecture = getattr(model, "architecture", {}).get("text", {})
    digest = hashlib.sha256()
    digest.update(json.dumps(architecture, sort_keys=True, default=str).encode())
    digest.update(content_hash(model.text_tower.state_dict()).encode())
    for caption in captions:
        digest.update(caption.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:32]


def is_intact(path: Path) -> bool:
    """Whether a cache file is there with the sha256 noted beside it."""
    card = path.with_suffix(".json")
    return path.is_file() and card.is_file() and read_json(card)["sha256"] == sha256_file(path)
