"""Accuracy in a domain and COCO recall of lite towers, from stored tokens: seconds per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config

from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.datasets.prefix_store import PrefixStore, digest_of
from react_mm.evaluation.retrieval_recall import best_ranks
from react_mm.models.clip import CLIP
from react_mm.models.prefix import prefix_encoder, prefix_identity
from react_mm.registry import DATASETS

COCO_SPLITS = {"val": "train", "test": "val"}
"""Ours -> the split of coco_mini."""
TOP = 5


@dataclass(frozen=True)
class Domain:
    """What is customized for.

    Attributes:
        name: Its name, a folder of ``$REACT_MM_DATA``.
        zero_shot: Config of its labelled images, below ``configs/``.
        retrieval: Config of the retrieval, below ``configs/``.
        splits: Ours -> the domain's own name of the split.
    """

    name: str
    zero_shot: str
    retrieval: str
    splits: Mapping[str, str]


DOMAINS = {
    "grocery": Domain(
        "grocery",
        "zero_shot_classification/lite_grocery.py",
        "retrieval/real_photos_lite.py",
        {"val": "val", "test": "test"},
    ),
    "clothing": Domain(
        "clothing",
        "zero_shot_classification/lite_clothing.py",
        "retrieval/real_photos_lite_clothing.py",
        {"val": "validation", "test": "test"},
    ),
}


@dataclass(frozen=True)
class Images:
    """Outputs of a model for a set of images.

    Attributes:
        embedding: float (N, D), L2-normalised.
        features: Mean tokens of the frozen trunk, float (N, C).
    """

    embedding: torch.Tensor
    features: torch.Tensor


Head = Callable[[Images], torch.Tensor]
"""A linear baseline: from frozen outputs to embeddings (N, D)."""


class PhotoSplit:
    """The images of one split as tokens of the frozen trunk, with labels and captions.

    Args:
        split: ``val`` (the domain's validation images, COCO train) or ``test`` (its test images,
            COCO val).
        configs: Folder of the shipped configs.
        model: The base; embeds captions and what the store lacks.
        store: Folder of the :class:`PrefixStore`.
        domain: The domain.
    """

    def __init__(
        self,
        split: str,
        configs: Path,
        model: CLIP,
        store: Path,
        domain: Domain = DOMAINS["grocery"],
    ) -> None:
        images = Config.fromfile(str(configs / domain.zero_shot)).test_dataloader.dataset
        general = configs / "zero_shot_classification" / "lite_coco-retrieval.py"
        coco = Config.fromfile(str(general)).test_dataloader.dataset
        images.where = {"split": domain.splits[split]}
        coco.where = {"split": COCO_SPLITS[split]}
        self.name = split
        self.domain, self.coco = DATASETS.build(images), DATASETS.build(coco)
        self.labels = np.array(self.domain.labels)
        self.owner = np.repeat(np.arange(len(self.coco)), [len(c) for c in self.coco.captions])
        self.domain_tokens = _tokens(self.domain, model, store)
        self.coco_tokens = _tokens(self.coco, model, store)
        captions = [text for texts in self.coco.captions for text in texts]
        chunks = [model.encode_text(captions[i : i + 64]) for i in range(0, len(captions), 64)]
        self.text = F.normalize(torch.cat(chunks).float(), dim=-1).numpy()

    @torch.no_grad()
    def hits(
        self, model: CLIP, head: Head | None = None, pixels: bool = False
    ) -> dict[str, np.ndarray]:
        """What a model gets right, item by item.

        Args:
            model: The model, at the gate scale it has; its vocabulary is replaced.
            head: For the linear baselines: from frozen outputs to embeddings.
            pixels: Run the whole tower: for a model whose trunk is not the base's.

        Returns:
            ``domain`` bool (images,); ``coco`` bool (captions,), the image is among the first 5;
            ``coco_image`` bool (images,), a caption of it is among the first 5.
        """
        model.eval()
        model.set_vocabulary(self.domain.metainfo["classes"])
        if pixels:
            found = [embed_pixels(model, dataset) for dataset in (self.domain, self.coco)]
        else:
            tokens = (self.domain_tokens, self.coco_tokens)
            found = [_embed(model, part, head) for part in tokens]
        i2t, t2i = best_ranks(found[1].numpy(), self.text, self.owner)
        return {
            "domain": model.class_similarity(found[0]).argmax(-1).numpy() == self.labels,
            "coco": t2i < TOP,
            "coco_image": i2t < TOP,
        }


@torch.no_grad()
def embed_pixels(model: CLIP, dataset: Any, batch_size: int = 64) -> torch.Tensor:
    """Embeddings of a data set's images by the whole tower, float (N, D), L2-normalised."""
    found = []
    for start in range(0, len(dataset), batch_size):
        rows = range(start, min(start + batch_size, len(dataset)))
        inputs = torch.stack([dataset.load(i)["inputs"] for i in rows])
        images = model.data_preprocessor({"inputs": inputs})["inputs"]
        found.append(F.normalize(model.encode_image(images).float(), dim=-1))
    return torch.cat(found)


def scores(hits: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """Fractions from :meth:`PhotoSplit.hits`.

    Returns:
        ``domain`` over the images, ``domain_mean_class`` over the classes, ``coco_t2i`` and
        ``coco_i2t`` (recall@5).
    """
    per_class = [hits["domain"][labels == c].mean() for c in np.unique(labels)]
    return {
        "domain": float(hits["domain"].mean()),
        "domain_mean_class": float(np.mean(per_class)),
        "coco_t2i": float(hits["coco"].mean()),
        "coco_i2t": float(hits["coco_image"].mean()),
    }


def resampled(
    hits: dict[str, np.ndarray], owner: np.ndarray, draws: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Bootstrap over images (a COCO image brings all its captions), the gallery fixed.

    Args:
        hits: Fractions per item, e.g. averaged over seeds; see :meth:`PhotoSplit.hits`.
        owner: Image of each caption.
        draws: Resamples. Equal seeds draw equal images, so differences of two models are paired.
        seed: Of the draws.

    Returns:
        ``domain`` and ``coco_t2i``: float (draws,).
    """
    generator = np.random.default_rng(seed)
    right_images = np.asarray(hits["domain"], float)
    count = np.bincount(owner)
    right = np.bincount(owner, weights=np.asarray(hits["coco"], float))
    values: dict[str, list[float]] = {"domain": [], "coco_t2i": []}
    for _ in range(draws):
        values["domain"].append(
            right_images[generator.integers(len(right_images), size=len(right_images))].mean()
        )
        pick = generator.integers(len(count), size=len(count))
        values["coco_t2i"].append(right[pick].sum() / count[pick].sum())
    return {name: np.array(column) for name, column in values.items()}


def images_of_pairs(model: CLIP, dataset: CachedPairDataset) -> Images:
    """Frozen outputs of every image of a set of pairs."""
    dataset.fill_prefix_cache(prefix_encoder(model), prefix_identity(model))
    return images_of(model, [dataset[i]["inputs"].numpy() for i in range(len(dataset))])


def _tokens(dataset: Any, model: CLIP, store: Path) -> list[np.ndarray]:
    transforms = [repr(getattr(t, "transform", t)) for t in dataset.transforms]
    cache = PrefixStore(store, f"{prefix_identity(model)}|{transforms}")
    digests = [digest_of(path.read_bytes()) for _, path in dataset.files]
    images = ((d, lambda i=i: dataset.load(i)["inputs"].numpy()) for i, d in enumerate(digests))
    cache.fill(images, prefix_encoder(model))
    return [cache[digest] for digest in digests]


@torch.no_grad()
def images_of(model: CLIP, tokens: list[np.ndarray]) -> Images:
    """Outputs of a model for images given as tokens of its trunk."""
    embedding, features = [], []
    for start in range(0, len(tokens), 128):
        batch = torch.from_numpy(np.stack(tokens[start : start + 128])).float()
        embedding.append(model.encode_image(batch).float())
        features.append(batch.mean(1))
    return Images(F.normalize(torch.cat(embedding), dim=-1), torch.cat(features))


def _embed(model: CLIP, tokens: list[np.ndarray], head: Head | None) -> torch.Tensor:
    images = images_of(model, tokens)
    return images.embedding if head is None else F.normalize(head(images), dim=-1)
