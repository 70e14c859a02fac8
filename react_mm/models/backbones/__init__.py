"""Image towers as backbones: pooled embedding, dense embedding and taps."""

from react_mm.models.backbones.base import ImageSizes, ImageTower
from react_mm.models.backbones.clip_vit import CLIPViT

__all__ = ["CLIPViT", "ImageSizes", "ImageTower"]
