"""The 17 novel classes of OV-COCO from a pool of one's own; no COCO image may come back."""

_base_ = ["clip-vit-b32_my-pool.py"]
work_dir = "work_dirs/retrieval/ov-coco"
_tower = dict(arch="ViT-B-16-quickgelu", pretrained="openai")
encoder = dict(image_tower=_tower, text_tower=_tower)
del _tower
query = dict(concepts="configs/chain/ov-coco_novel.txt")
select = dict(held_out=["data/coco/train2017", "data/coco/val2017"])
sample = [dict(name="general", number=10_000, seed=0)]
