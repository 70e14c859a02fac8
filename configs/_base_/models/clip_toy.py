# The base of the drawn world; its weights ship in the package.
tower = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", **tower),
    text_tower=dict(type="react_mm.CLIPText", **tower),
    templates="drawn",
)
