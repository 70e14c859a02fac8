# mnist: 10 classes, 10,000 test images, 1 template; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="mnist")
test_dataloader = dict(dataset=dict(name="mnist", path="data/elevater/mnist"))
