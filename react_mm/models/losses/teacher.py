"""The frozen start as a teacher: what keeps customization from forgetting."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

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
    """On general images the pooled embedding stays near that of the starting tower.

    Args:
        weight: Factor of the mean of 1 - cosine.
    """

    def __init__(self, weight: float = 5.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self, model: Any, inputs: Tensor, embedded: Tensor, pairs: Tensor
    ) -> dict[str, Tensor]:
        """See :meth:`react_mm.models.clip.CLIP.regularization`."""
        student, general = embedded[~pairs].float(), inputs[~pairs]
        if not len(general):
            return {"loss_teacher": student.sum()}
        with model.starting_tower() as tower:
            teacher = tower.encode_image(general).float()
        return {"loss_teacher": self.weight * teacher_loss(student, teacher)}
