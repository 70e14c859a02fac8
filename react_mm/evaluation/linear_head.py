"""The strong simple baseline: a linear map on frozen embeddings, no gates.

It is trained on the same pairs with the same losses as customization (InfoNCE, and optionally the
frozen teacher on general images), so that a table can show what the gated blocks add beyond it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.losses import InfoNCE, teacher_loss


def fit_linear_head(
    image: Tensor,
    text: Tensor,
    general: Tensor | None = None,
    teacher_weight: float = 0.0,
    epochs: int = 20,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    logit_scale: float = 4.6052,
    seed: int = 0,
) -> nn.Linear:
    """Fits W, b of ``normalize(W v + b)``, from the identity, by InfoNCE on pairs.

    Args:
        image: Frozen image embeddings of the pairs, float (N, D).
        text: Frozen caption embeddings, float (N, D), row i of image i.
        general: Frozen embeddings of general images, float (M, D); they are their own teacher.
        teacher_weight: Weight of ``1 - cosine`` on them.
        epochs: Passes over the pairs.
        batch_size: Pairs per step (and as many general images).
        lr: Learning rate of AdamW, decayed by a cosine to zero.
        weight_decay: Of AdamW, on the difference from the identity.
        logit_scale: Logarithm of the temperature's inverse; fixed.
        seed: Of the order.

    Returns:
        The map; apply it to embeddings of any norm after L2-normalising them.

    Raises:
        ValueError: If the shapes differ or there are fewer pairs than two.
    """
    if image.shape != text.shape or len(image) < 2:
        raise ValueError(f"linear head: {tuple(image.shape)} images, {tuple(text.shape)} texts")
    image, text = (F.normalize(x.float(), dim=-1) for x in (image, text))
    general = None if general is None else F.normalize(general.float(), dim=-1)
    generator = torch.Generator().manual_seed(seed)
    change = nn.Linear(image.shape[1], image.shape[1])
    nn.init.zeros_(change.weight)
    nn.init.zeros_(change.bias)
    steps = epochs * max(1, len(image) // batch_size)
    optimizer = torch.optim.AdamW(change.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss, scale = InfoNCE(gather=False), torch.tensor(logit_scale).exp()
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < min(batch_size, len(image)):
            order = torch.randperm(len(image), generator=generator)
        rows, order = order[:batch_size], order[batch_size:]
        mapped = F.normalize(image[rows] + change(image[rows]), dim=-1)
        total = loss(mapped, text[rows], scale)
        if general is not None and teacher_weight:
            pick = torch.randint(len(general), (batch_size,), generator=generator)
            total = total + teacher_weight * teacher_loss(
                general[pick] + change(general[pick]), general[pick]
            )
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        change.weight += torch.eye(image.shape[1])
    return change.requires_grad_(False)
