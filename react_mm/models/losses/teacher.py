"""The frozen start as a teacher: what keeps customization from forgetting."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.cached_gradient import encode_in_chunks
from react_mm.registry import MODELS


def teacher_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine between the embeddings of the trained and of the frozen tower.

    Args:
        student: float (B, D).
        teacher: float (B, D); no gradient flows into it.

    Returns:
        Scalar; 0 for an empty batch.
    """
    if not len(student):
        return student.sum()
    return (1 - F.cosine_similarity(student, teacher.detach(), dim=-1)).mean()


@MODELS.register_module()
class FrozenTeacher(nn.Module):
    """On general images the embeddings stay near those of the starting tower.

    Args:
        weight: Factor of the mean of 1 - cosine of the pooled embeddings.
        dense_weight: Factor of the mean of 1 - cosine over the cells of the dense embeddings; 0
            does not compute them.
    """

    def __init__(self, weight: float = 5.0, dense_weight: float = 0.0) -> None:
        super().__init__()
        self.weight, self.dense_weight = weight, dense_weight

    def forward(
        self,
        model: Any,
        inputs: Tensor,
        embedded: Tensor,
        pairs: Tensor,
        batch: Mapping[str, Any] | None = None,
    ) -> dict[str, Tensor]:
        """See :meth:`react_mm.models.clip.CLIP.regularization`."""
        student, general = embedded[~pairs].float(), inputs[~pairs]
        if not len(general):
            zero = student.sum()
            dense = {"loss_dense_teacher": zero} if self.dense_weight else {}
            return {"loss_teacher": zero, **dense}
        with model.starting_tower() as tower:
            chunk_size = getattr(model, "chunk_size", None)
            teacher = encode_in_chunks(tower.encode_image, general, chunk_size).float()
            kept = _cells(tower.dense_embedding(general)) if self.dense_weight else None
        losses = {"loss_teacher": self.weight * teacher_loss(student, teacher)}
        if kept is not None:
            cells = _cells(model.image_tower.dense_embedding(general))
            losses["loss_dense_teacher"] = self.dense_weight * teacher_loss(cells, kept)
        return losses


def _cells(dense: Tensor) -> Tensor:
    """Dense embedding (B, D, h, w) -> its cells, float32 (B * h * w, D)."""
    return dense.flatten(2).transpose(1, 2).flatten(0, 1).float()
