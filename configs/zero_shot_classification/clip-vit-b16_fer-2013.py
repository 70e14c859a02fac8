# fer-2013: 7 classes, 3,589 test images, 6 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="fer-2013")
test_dataloader = dict(dataset=dict(name="fer-2013", path="data/elevater/fer-2013"))
