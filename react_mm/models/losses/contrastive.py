"""The contrastive loss of customization."""

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.registry import MODELS


@MODELS.register_module()
class InfoNCE(nn.Module):
    """Symmetric image-text contrastive loss (CLIP; used unchanged by REACT, one pair one text).

    Args:
        gather: With several processes, contrast against the pairs of all of them (the gradient
            flows to every process).
    """

    def __init__(self, gather: bool = True) -> None:
        super().__init__()
        self.gather = gather

    def forward(self, image: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            image: float (B, D), L2-normalised.
            text: float (B, D), L2-normalised; row i belongs to image i.
            logit_scale: Scalar that multiplies the cosines (already exponentiated).

        Returns:
            Scalar: mean of the image-to-text and the text-to-image cross entropy.
        """
        offset, all_image, all_text = 0, image, text
        if self.gather and dist.is_available() and dist.is_initialized():
            all_image = torch.cat(dist_nn.all_gather(image))
            all_text = torch.cat(dist_nn.all_gather(text))
            offset = dist.get_rank() * len(image)
        target = torch.arange(len(image), device=image.device) + offset
        with torch.autocast(image.device.type, enabled=False):  # bfloat16 is too coarse for logits
            to_text = logit_scale * image @ all_text.T
            to_image = logit_scale * text @ all_image.T
        return (F.cross_entropy(to_text, target) + F.cross_entropy(to_image, target)) / 2
