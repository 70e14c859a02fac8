"""The drawn world: `make` it with tools/make_toy_world.py --out data/toy, then run this."""

work_dir = "work_dirs/retrieval/toy"
encoder = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", arch="toy-vit", pretrained="drawn-world"),
    text_tower=dict(type="react_mm.CLIPText", arch="toy-vit", pretrained="drawn-world"),
)
pool = [dict(type="webdataset", path="data/toy/pool/pool-*.tar")]
embed = dict(batch_size=64, on_change="redo")
query = dict(concepts="data/toy/target.txt", templates="drawn")
# Read on the validation images of seed 100: tools/reproduce_toy_world.py --settings. Captions are
# what customization trains on; T2I finds pictures whose captions mostly name something else.
search = dict(modes=("T2T",), k=50)
select = dict(
    per_concept=60,
    min_score=dict(T2T=0.6),
    held_out=["data/toy/classification/val", "data/toy/classification/test"],
)
export = dict(shard_size=1000)
sample = [
    dict(name="general", number=2000, seed=0),
    dict(name="control", number="equal", seed=1),
]
