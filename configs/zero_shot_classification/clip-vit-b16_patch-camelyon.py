# patch-camelyon: 2 classes, 32,768 test images, 1 template; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="patch-camelyon")
test_dataloader = dict(dataset=dict(name="patch-camelyon", path="data/elevater/patch-camelyon"))
