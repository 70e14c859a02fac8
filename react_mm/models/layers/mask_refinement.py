"""PAMR: masks drawn along the colours of the picture, without training (arXiv 2005.08104)."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.registry import MODELS

_EPS = 1e-8
_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@MODELS.register_module()
class PixelAdaptiveRefinement(nn.Module):
    """Averages each pixel's scores with those of neighbours of like colour, some times over.

    Section 3.3 of the paper: with the 8 neighbours j of pixel i at each dilation,
    alpha_ij = softmax_j of the mean over channels of -|I_i - I_j| / (spread * sigma_i), and
    m_i <- sum_j alpha_ij m_j. sigma_i is the channel's standard deviation over i and its
    neighbours; the paper's formula divides by its square, which would depend on how the picture is
    normalised. At the border the outermost pixel is repeated.

    Args:
        iterations: How many times; NACLIP takes 10 (facts D2).
        dilations: Distances of the neighbours in pixels; NACLIP takes 8 and 16.
        spread: Less makes it stop at weaker edges.

    Raises:
        ValueError: If there are no dilations or no iterations, or a number is not positive.
    """

    def __init__(
        self, iterations: int = 10, dilations: Sequence[int] = (8, 16), spread: float = 0.1
    ) -> None:
        super().__init__()
        if iterations < 1 or spread <= 0 or not dilations or min(dilations) < 1:
            raise ValueError(
                "refinement needs iterations, dilations and spread above 0, got "
                f"{iterations}, {tuple(dilations)}, {spread}"
            )
        self.iterations, self.spread = iterations, spread
        self.offsets = [(dy * d, dx * d) for d in dilations for dy, dx in _NEIGHBOURS]

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Refines masks.

        Args:
            images: Float (B, 3, H, W), in any normalisation.
            masks: Scores float (B, C, H, W).

        Returns:
            Float (B, C, H, W); what sums to 1 over the channels goes on to do so.
        """
        weights = self.affinity(images.float()).to(masks.dtype)
        for _ in range(self.iterations):
            shifted = self._shifts(masks)
            masks = sum(w[:, None] * m for w, m in zip(weights.unbind(1), shifted, strict=True))
        return masks

    def affinity(self, images: Tensor) -> Tensor:
        """The weights alpha, float (B, K, H, W) with K = 8 * dilations; they sum to 1 over K."""
        near = torch.stack(list(self._shifts(images)), dim=1)
        among = torch.cat([near, images[:, None]], dim=1)
        sigma = among.std(dim=1, keepdim=True)
        distance = (near - images[:, None]).abs() / (_EPS + self.spread * sigma)
        return (-distance.mean(dim=2)).softmax(dim=1)

    def _shifts(self, x: Tensor) -> Iterator[Tensor]:
        """Each neighbour's values at the place of the pixel, one offset after the other."""
        reach = max(max(abs(dy), abs(dx)) for dy, dx in self.offsets)
        height, width = x.shape[-2:]
        padded = F.pad(x, (reach,) * 4, mode="replicate")
        for dy, dx in self.offsets:
            yield padded[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]
