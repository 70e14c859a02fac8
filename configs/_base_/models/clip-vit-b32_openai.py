# OpenAI's ViT-B/32: the quickgelu definition belongs to these weights.
tower = dict(arch="ViT-B-32-quickgelu", pretrained="openai")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", with_cp=True, **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="photo",
)
