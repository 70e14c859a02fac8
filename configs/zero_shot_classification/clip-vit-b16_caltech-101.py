# caltech-101: 102 classes, 6,084 test images, 34 templates; mean accuracy of the classes.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="caltech-101")
test_dataloader = dict(dataset=dict(name="caltech-101", path="data/elevater/caltech-101"))
test_evaluator = dict(headline="mean_class")
