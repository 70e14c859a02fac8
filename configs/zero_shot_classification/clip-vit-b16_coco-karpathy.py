# COCO, Karpathy's test split: 5,000 images (data/coco/val2014), 25,000 captions.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/karpathy_retrieval.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(path="data/coco", annotations="dataset_coco.json"))
