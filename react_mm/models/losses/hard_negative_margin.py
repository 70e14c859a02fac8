"""The margin term for hard pairs that the sampler put into a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from react_mm.registry import MODELS


@MODELS.register_module()
class HardNegativeMargin(nn.Module):
    """A pair's own cosine exceeds that with its hard pairs by a margin.

    HELIP (arXiv 2305.05208) adds a hard-negative margin loss, whose formula is in none of our
    sources; this one is ours. For an anchor i and a hard pair j of it in the same batch

        max(0, m + cos(image_i, text_j) - cos(image_i, text_i))
        + max(0, m + cos(image_j, text_i) - cos(image_i, text_i))

    summed over the hard pairs and divided by the number of pairs in the batch, so that the mean
    over processes is the value of one process with all their pairs.

    Args:
        margin: m, in units of cosine.
        weight: Factor of the term.
    """

    def __init__(self, margin: float = 0.1, weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.weight = margin, weight

    def forward(
        self, image: Tensor, text: Tensor, relations: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Computes the term.

        Args:
            image: float (P, D), L2-normalised.
            text: float (P, D), L2-normalised.
            relations: ``pair_index`` int64 (P,), and ``anchor`` int64 (P,): the index of the pair
                for which a row was put into the batch, -1 for a row that stands for itself.

        Returns:
            ``loss_hard_negatives``.

        Raises:
            ValueError: If the batch does not say which rows are hard pairs.
        """
        if "anchor" not in relations or "pair_index" not in relations:
            raise ValueError(
                "HardNegativeMargin needs a sampler with hard pairs: set hard_pairs of "
                "react_mm.PairSampler"
            )
        index, anchor = relations["pair_index"], relations["anchor"]
        # A pair can be an anchor and another's hard pair: only its row as an anchor counts here.
        match = (anchor[:, None] == index[None]) & (anchor >= 0)[:, None] & (anchor < 0)[None]
        hard, own = torch.nonzero(match, as_tuple=True)
        with torch.autocast(image.device.type, enabled=False):
            image, text = image.float(), text.float()
            matched = (image[own] * text[own]).sum(-1)
            to_text = (image[own] * text[hard]).sum(-1)
            to_image = (image[hard] * text[own]).sum(-1)
            over = (self.margin + to_text - matched).relu()
            over = over + (self.margin + to_image - matched).relu()
        return {"loss_hard_negatives": self.weight * over.sum() / max(len(image), 1)}
