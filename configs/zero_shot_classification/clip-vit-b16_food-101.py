# food-101: 101 classes, 25,250 test images, 1 template; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="food-101")
test_dataloader = dict(dataset=dict(name="food-101", path="data/elevater/food-101"))
