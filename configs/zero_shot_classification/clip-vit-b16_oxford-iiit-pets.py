# oxford-iiit-pets: 37 classes, 3,669 test images, 1 template; mean accuracy of the classes.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="oxford-iiit-pets")
test_dataloader = dict(dataset=dict(name="oxford-iiit-pets", path="data/elevater/oxford-iiit-pets"))
test_evaluator = dict(headline="mean_class")
