"""Real photographs: every folder of $REACT_MM_DATA without its evaluation splits is the pool."""

_base_ = ["../_base_/concepts/grocery.py"]
work_dir = "work_dirs/real_photos/retrieval"
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
query = dict(templates="photo", concepts={{_base_.classes}})
search = dict(modes=("T2I", "T2T"), k=100)
# Not in the pool, and refused should they get there; COCO's training photos are in the pool, but
# their captions choose the settings, so nothing is trained on them.
select = dict(
    per_concept=200,
    held_out=[
        "{{$REACT_MM_DATA:data/photos}}/grocery/val",
        "{{$REACT_MM_DATA:data/photos}}/grocery/test",
        "{{$REACT_MM_DATA:data/photos}}/coco_mini/train",
        "{{$REACT_MM_DATA:data/photos}}/coco_mini/val",
    ],
)
sample = [
    dict(name="general", number=2000, seed=0),
    dict(name="control", number="equal", seed=1),
    dict(
        name="control-elsewhere",
        number="equal",
        seed=2,
        exclude=["{{$REACT_MM_DATA:data/photos}}/grocery/train"],
    ),
]
