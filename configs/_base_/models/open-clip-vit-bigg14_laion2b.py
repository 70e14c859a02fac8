# OpenCLIP's ViT-bigG/14 of LAION-2B.
tower = dict(arch="ViT-bigG-14", pretrained="laion2b_s39b_b160k")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
