# NACLIP's headline: PAMR on top. Published (facts D2): 64.07 mIoU.
_base_ = ["naclip_clip-vit-b16_voc21.py"]

model = dict(
    refinement=dict(type="react_mm.PixelAdaptiveRefinement", iterations=10, dilations=(8, 16))
)
