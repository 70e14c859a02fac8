# OpenCLIP's ViT-L/14 of LAION-2B, whose images have mean = std = 0.5.
tower = dict(arch="ViT-L-14", pretrained="laion2b_s32b_b82k")
statistics = dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower, **statistics),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
