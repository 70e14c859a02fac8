# cifar-100: 100 classes, 10,000 test images, 18 templates; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="cifar-100")
test_dataloader = dict(dataset=dict(name="cifar-100", path="data/elevater/cifar-100"))
