"""Training-free segmentation with a second model that knows which cells belong together."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from react_mm.models.layers.gated_attention import run_gate
from react_mm.models.layers.proxy_attention import mix_values, proxy_weights
from react_mm.models.segmentors.base import padded_extent
from react_mm.models.segmentors.training_free import TrainingFreeSegmentor
from react_mm.registry import MODELS


@MODELS.register_module()
class ProxySegmentor(TrainingFreeSegmentor):
    """The last block's values, mixed by the similarity of another transformer's tokens.

    ProxyCLIP (arXiv 2408.04883; facts D2): see :mod:`react_mm.models.layers.proxy_attention`. The
    map has the second model's grid, to which the values are resampled.

    Args:
        backbone: Config of :class:`CLIPViT`, plain or customized; its ``dense_mode`` is not used.
        class_embedder: Config of :class:`ClassEmbedder`.
        proxy: Config of the second model: :class:`TimmFeatures`, or whatever has ``of_extent``.
        beta: How far above the mean similarity a cell must lie to be looked at.
        gamma: Inverse temperature of the similarities.
        **kwargs: Those of :class:`TrainingFreeSegmentor`.

    Raises:
        ValueError: If the backbone is no :class:`CLIPViT`, whose last block has values to mix, or
            a remedy of the last block is asked for.
    """

    def __init__(
        self,
        backbone: dict,
        class_embedder: dict,
        proxy: dict,
        beta: float = 1.2,
        gamma: float = 3.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, class_embedder, **kwargs)
        if self.layer != -1 or self.outlier_ratio is not None:
            raise ValueError("ProxySegmentor replaces the last block: no layer, no outlier_ratio")
        if not hasattr(self.backbone, "before_block"):
            raise ValueError(
                f"ProxySegmentor mixes the values of a CLIPViT's last block; "
                f"{type(self.backbone).__name__} has none: use react_mm.TrainingFreeSegmentor"
            )
        self.proxy = MODELS.build(proxy)
        self.beta, self.gamma = beta, gamma
        for name in ("mean", "std"):
            values = torch.tensor(self.backbone.preprocess[name]).view(3, 1, 1)
            self.register_buffer(f"tower_{name}", values, persistent=False)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Dense embedding float (B, D, h, w) on the second model's grid."""
        tower, visual = self.backbone, self.backbone.visual
        height, width = padded_extent(inputs.shape[-2:], tower.stride)
        pad = (0, width - inputs.shape[-1], 0, height - inputs.shape[-2])
        inputs = F.pad(inputs, pad)  # as the tower itself pads
        tokens, grid = tower.before_block(inputs)
        features = self.proxy.of_extent(inputs * self.tower_std + self.tower_mean)
        target = tuple(features.shape[-2:])
        weights = proxy_weights(features, self.beta, self.gamma).to(tokens.dtype)
        last = tower.insertion_points()[-1]
        mixed = mix_values(last, run_gate(last, tokens), grid, weights, target)
        return (visual.ln_post(mixed) @ visual.proj).transpose(1, 2).unflatten(2, target)
