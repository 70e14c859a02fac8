# oxford-flowers-102: 102 classes, 6,149 test images, 1 template; mean accuracy of the classes.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="oxford-flowers-102")
test_dataloader = dict(
    dataset=dict(name="oxford-flowers-102", path="data/elevater/oxford-flowers-102")
)
test_evaluator = dict(headline="mean_class")
