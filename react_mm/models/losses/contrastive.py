"""The contrastive loss of customization, plain and aware of concepts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.losses.gathering import GatheredRows
from react_mm.registry import MODELS
from react_mm.suggestions import near_matches

SAME_CONCEPT = ("positive", "ignored")


@MODELS.register_module()
class InfoNCE(nn.Module):
    """Symmetric image-text contrastive loss (CLIP; used unchanged by REACT, one pair one text).

    With several processes the value is this process's share: the mean over processes (which
    distributed training takes of the gradients) is the loss of one process with all the pairs.

    Args:
        gather: With several processes, contrast against the pairs of all of them (the gradient
            flows to every process).
    """

    def __init__(self, gather: bool = True) -> None:
        super().__init__()
        self.gather = gather

    def forward(
        self, image: Tensor, text: Tensor, logit_scale: Tensor, concept: Tensor | None = None
    ) -> Tensor:
        """Computes the loss.

        Args:
            image: float (B, D), L2-normalised.
            text: float (B, D), L2-normalised; row i belongs to image i.
            logit_scale: Scalar that multiplies the cosines (already exponentiated).
            concept: int64 (B,), the concept each pair stands for, -1 for none; not used here.

        Returns:
            Scalar: mean of the image-to-text and the text-to-image cross entropy.
        """
        rows = GatheredRows.of(len(image), image.device, self.gather)
        all_image, all_text = rows.gather(image), rows.gather(text)
        with torch.autocast(image.device.type, enabled=False):  # bfloat16 is too coarse for logits
            to_text = logit_scale * image @ all_text.T
            to_image = logit_scale * text @ all_image.T
        entropy = self._entropy(to_text, to_image, rows, concept)
        return rows.share * entropy / 2

    def _entropy(
        self, to_text: Tensor, to_image: Tensor, rows: GatheredRows, concept: Tensor | None
    ) -> Tensor:
        """Sum over this process's rows of the cross entropies in both directions.

        Args:
            to_text: Logits float (B, all B).
            to_image: Logits float (B, all B).
            rows: Rows of every process.
            concept: int64 (B,) or None.
        """
        target = torch.arange(len(to_text), device=to_text.device) + rows.offset
        return F.cross_entropy(to_text, target, reduction="sum") + F.cross_entropy(
            to_image, target, reduction="sum"
        )


@MODELS.register_module()
class LabelAwareInfoNCE(InfoNCE):
    """InfoNCE for which the pairs of one concept are no negatives of each other.

    ``positive``: soft targets as in UniCL (arXiv 2204.03610, section 3.2): a row's target is spread
    evenly over all pairs of its concept. ``ignored``: those other pairs leave the denominator, each
    pair has itself as its only positive. Pairs without a concept (-1) stand for themselves alone.

    Args:
        same_concept: ``positive`` or ``ignored``.
        gather: As in :class:`InfoNCE`.

    Raises:
        ValueError: If ``same_concept`` is another.
    """

    def __init__(self, same_concept: str = "positive", gather: bool = True) -> None:
        if same_concept not in SAME_CONCEPT:
            raise ValueError(
                f"LabelAwareInfoNCE: same_concept is one of {', '.join(SAME_CONCEPT)}, not "
                f"{same_concept!r}{near_matches(same_concept, SAME_CONCEPT)}"
            )
        super().__init__(gather)
        self.same_concept = same_concept

    def _entropy(
        self, to_text: Tensor, to_image: Tensor, rows: GatheredRows, concept: Tensor | None
    ) -> Tensor:
        """As :meth:`InfoNCE._entropy`.

        Raises:
            ValueError: If the batch carries no concepts.
        """
        if concept is None:
            raise ValueError(
                "LabelAwareInfoNCE needs `concept_id` in the batch: react_mm.PairDataset gives it"
            )
        own = torch.arange(len(concept), device=concept.device) + rows.offset
        same = (concept[:, None] == rows.gather(concept)[None]) & (concept >= 0)[:, None]
        if self.same_concept == "positive":
            same[torch.arange(len(own), device=own.device), own] = True
            target = same.to(to_text.dtype) / same.sum(1, keepdim=True)
            total = to_text.log_softmax(1) + to_image.log_softmax(1)
            return -(target * total).sum()
        same[torch.arange(len(own), device=own.device), own] = False
        lowest = torch.finfo(to_text.dtype).min
        return super()._entropy(
            to_text.masked_fill(same, lowest), to_image.masked_fill(same, lowest), rows, concept
        )
