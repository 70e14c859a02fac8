"""Image towers as backbones: pooled embedding, dense embedding and taps."""

from react_mm.models.backbones.base import ImageSizes, ImageTower
from react_mm.models.backbones.clip_resnet import CLIPResNet
from react_mm.models.backbones.clip_vit import CLIPViT
from react_mm.models.backbones.timm_features import TimmFeatures
from react_mm.models.backbones.timm_vit import TimmViT

__all__ = ["CLIPResNet", "CLIPViT", "ImageSizes", "ImageTower", "TimmFeatures", "TimmViT"]
