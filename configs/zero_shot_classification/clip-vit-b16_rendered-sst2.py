# rendered-sst2: 2 classes, 1,821 test images, 1 template; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="rendered-sst2")
test_dataloader = dict(dataset=dict(name="rendered-sst2", path="data/elevater/rendered-sst2"))
