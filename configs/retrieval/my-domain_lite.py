"""Your own photos and other captioned photos as the pool; see docs/customize_your_domain.md."""

work_dir = "work_dirs/my-domain/retrieval"
encoder = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.LiteImageTower", image_size=160),
    text_tower=dict(type="react_mm.LiteText"),
)
_listed = dict(type="folder", pairs="pairs.jsonl")
pool = [
    dict(path="{{$MY_PHOTOS:data/my-photos}}", where=dict(split="train"), **_listed),
    dict(path="{{$OTHER_PHOTOS:data/other-photos}}", **_listed),
]
del _listed
embed = dict(batch_size=32)
query = dict(concepts="{{$MY_NAMES:data/my-names.txt}}", templates="photo")
search = dict(modes=("T2I", "T2T"), k=100)
select = dict(per_concept=200)
# General images for the teacher: none of your own photos.
sample = [dict(name="general", number=2000, seed=0, exclude=["{{$MY_PHOTOS:data/my-photos}}"])]
