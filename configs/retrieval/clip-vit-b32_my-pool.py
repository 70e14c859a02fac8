"""A template for your own data: change the lines with a path, then `tools/retrieve.py run` it."""

work_dir = "work_dirs/retrieval/my-set"
# Any open_clip architecture with its pretrained tag; for weights in a file: checkpoint="FILE".
encoder = dict(
    type="react_mm.CLIP",
    image_tower=dict(type="react_mm.CLIPViT", arch="ViT-B-32-quickgelu", pretrained="openai"),
    text_tower=dict(type="react_mm.CLIPText", arch="ViT-B-32-quickgelu", pretrained="openai"),
)
pool = [
    dict(type="webdataset", path="data/my-pool/*.tar"),
    # An image folder with NAME.txt beside NAME.jpg:
    #   dict(type="folder", path="data/my-photos")
    # or with captions in JSON lines {"image": ..., "text": ..., "split": ...}:
    #   dict(type="folder", path="data/shop", pairs="pairs.jsonl", where=dict(split="train"))
]
embed = dict(batch_size=64, workers=4)
index = dict(kind="auto", recall_target=0.95)
query = dict(concepts="data/my-concepts.txt", templates="photo", synonyms=False)
search = dict(modes=("T2I", "T2T"), k=200)
select = dict(
    per_concept=500,
    min_score=None,  # or dict(T2I=0.25, T2T=0.7)
    held_out=[],  # folders or lists of evaluation images
)
export = dict(shard_size=1000)
sample = [dict(name="general", number=2000, seed=0)]
