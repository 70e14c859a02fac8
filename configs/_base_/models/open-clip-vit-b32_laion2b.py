# OpenCLIP's ViT-B/32 of LAION-2B.
tower = dict(arch="ViT-B-32", pretrained="laion2b_s34b_b79k")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
