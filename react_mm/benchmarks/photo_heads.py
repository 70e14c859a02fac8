"""The linear baselines of the photographs table: maps on frozen embeddings or frozen features.

All train on the retrieved pairs by InfoNCE, with or without the frozen teacher on general images,
as customization does; none has a gated block.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.benchmarks.photo_evaluation import Head, Images
from react_mm.evaluation.linear_head import fit_linear_head
from react_mm.models.losses import InfoNCE, teacher_loss

TEACHER_WEIGHT = 5.0
HEADS = {
    "linear head": ("embedding", 0.0),
    "linear head, teacher": ("embedding", TEACHER_WEIGHT),
    "linear head on features": ("features", 0.0),
    "linear head on features, teacher": ("features", TEACHER_WEIGHT),
}
"""Name -> what it maps, weight of the teacher."""


def fit_head(
    name: str, pairs: Images, text: Tensor, general: Images, epochs: int, seed: int
) -> Head:
    """Fits one of :data:`HEADS`.

    Args:
        name: Its name.
        pairs: Images of the retrieved pairs.
        text: Their captions, float (N, D), L2-normalised.
        general: General images of the pool, for the teacher.
        epochs: Passes over the pairs.
        seed: Of the order.
    """
    kind, weight = HEADS[name]
    if kind == "embedding":
        head = fit_linear_head(
            pairs.embedding, text, general.embedding, weight, epochs=epochs, seed=seed
        )
        return lambda images: head(images.embedding)
    change = fit_change(pairs, text, general, weight, epochs, seed)
    return lambda images: images.embedding + change(images.features)


def fit_change(
    pairs: Images,
    text: Tensor,
    general: Images,
    teacher_weight: float = 0.0,
    epochs: int = 20,
    seed: int = 0,
    batch_size: int = 64,
    lr: float = 1e-3,
    logit_scale: float = 4.6052,
) -> nn.Linear:
    """Fits A of ``normalize(e + A f)`` from A = 0, as :func:`fit_linear_head` fits its map.

    Args:
        pairs: Images of the pairs.
        text: Their captions, float (N, D), L2-normalised.
        general: Images whose base embedding is kept by the teacher.
        teacher_weight: Weight of ``1 - cosine`` on them.
        epochs: Passes over the pairs.
        seed: Of the order.
        batch_size: Pairs per step, and as many general images.
        lr: Learning rate of AdamW, decayed by a cosine to zero.
        logit_scale: Logarithm of the temperature's inverse; fixed.

    Returns:
        A, with a bias.
    """
    generator = torch.Generator().manual_seed(seed)
    change = nn.Linear(pairs.features.shape[1], pairs.embedding.shape[1])
    nn.init.zeros_(change.weight)
    nn.init.zeros_(change.bias)
    per_epoch = max(1, len(text) // batch_size)
    optimizer = torch.optim.AdamW(change.parameters(), lr=lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
    loss, scale = InfoNCE(gather=False), torch.tensor(logit_scale).exp()
    for _ in range(epochs):
        order = torch.randperm(len(text), generator=generator)
        for step in range(per_epoch):
            rows = order[step * batch_size : (step + 1) * batch_size]
            image = F.normalize(pairs.embedding[rows] + change(pairs.features[rows]), dim=-1)
            total = loss(image, text[rows], scale)
            if teacher_weight:
                pick = torch.randint(len(general.embedding), (batch_size,), generator=generator)
                kept = general.embedding[pick]
                total = total + teacher_weight * teacher_loss(
                    kept + change(general.features[pick]), kept
                )
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            schedule.step()
    return change.requires_grad_(False)
