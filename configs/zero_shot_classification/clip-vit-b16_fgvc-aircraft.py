# fgvc-aircraft: 100 classes, 3,333 test images, 2 templates; mean accuracy of the classes.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="fgvc-aircraft")
test_dataloader = dict(dataset=dict(name="fgvc-aircraft", path="data/elevater/fgvc-aircraft"))
test_evaluator = dict(headline="mean_class")
