# stanford-cars: 196 classes, 8,041 test images, 8 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="stanford-cars")
test_dataloader = dict(dataset=dict(name="stanford-cars", path="data/elevater/stanford-cars"))
