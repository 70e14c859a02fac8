# dtd: 47 classes, 1,880 test images, 8 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="dtd")
test_dataloader = dict(dataset=dict(name="dtd", path="data/elevater/dtd"))
