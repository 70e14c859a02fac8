# gtsrb: 43 classes, 12,630 test images, 3 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="gtsrb")
test_dataloader = dict(dataset=dict(name="gtsrb", path="data/elevater/gtsrb"))
