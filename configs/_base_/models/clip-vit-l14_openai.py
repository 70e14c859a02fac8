# OpenAI's ViT-L/14: the quickgelu definition belongs to these weights.
tower = dict(arch="ViT-L-14-quickgelu", pretrained="openai")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
