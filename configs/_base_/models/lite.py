# The offline base for photographs (extra `lite`): weights from pip packages, no download.
model = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.LiteImageTower", image_size=160),
    text_tower=dict(type="react_mm.LiteText"),
    templates="photo",
)
