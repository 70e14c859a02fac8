# The offline pool: every folder of $REACT_MM_DATA without its evaluation splits, and its encoder.
encoder = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.LiteImageTower", image_size=160),
    text_tower=dict(type="react_mm.LiteText"),
)
_listed = dict(type="folder", pairs="pairs.jsonl")
pool = [
    dict(path="{{$REACT_MM_DATA:data/photos}}/grocery", where=dict(split="train"), **_listed),
    dict(path="{{$REACT_MM_DATA:data/photos}}/clothing", where=dict(split="train"), **_listed),
    dict(path="{{$REACT_MM_DATA:data/photos}}/openmoji", **_listed),
    dict(path="{{$REACT_MM_DATA:data/photos}}/fluent_emoji_3d", **_listed),
    dict(path="{{$REACT_MM_DATA:data/photos}}/exercises", **_listed),
    dict(path="{{$REACT_MM_DATA:data/photos}}/coco_mini", where=dict(split="train"), **_listed),
]
del _listed
embed = dict(batch_size=32)
search = dict(modes=("T2I", "T2T"), k=100)
