# imagenet-1k: 1000 classes, 50,000 val images, 80 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="imagenet-1k")
test_dataloader = dict(dataset=dict(name="imagenet-1k", path="data/imagenet", split="val"))
test_evaluator = dict(topk=(5,))
