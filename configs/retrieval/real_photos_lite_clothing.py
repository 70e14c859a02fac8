"""The same pool, searched for the 10 classes of the clothing photos."""

_base_ = ["../_base_/concepts/clothing.py", "../_base_/datasets/photo_pool.py"]
work_dir = "work_dirs/customization/clothing/retrieval"
query = dict(templates="photo", concepts={{_base_.classes}})
# Not in the pool, and refused should they get there; COCO's training photos are in the pool, but
# their captions choose the settings, so nothing is trained on them.
select = dict(
    per_concept=200,
    held_out=[
        "{{$REACT_MM_DATA:data/photos}}/clothing/validation",
        "{{$REACT_MM_DATA:data/photos}}/clothing/test",
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
        exclude=["{{$REACT_MM_DATA:data/photos}}/clothing/train"],
    ),
]
