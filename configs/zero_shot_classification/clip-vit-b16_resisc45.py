# resisc45: 45 classes, 25,200 test images, 18 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="resisc45")
test_dataloader = dict(dataset=dict(name="resisc45", path="data/elevater/resisc45"))
