# country211: 211 classes, 21,100 test images, 5 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="country211")
test_dataloader = dict(dataset=dict(name="country211", path="data/elevater/country211"))
