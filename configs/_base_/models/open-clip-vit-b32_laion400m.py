# OpenCLIP's ViT-B/32 of LAION-400M, trained with QuickGELU.
tower = dict(arch="ViT-B-32-quickgelu", pretrained="laion400m_e32")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
