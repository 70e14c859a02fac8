# kitti-distance: 4 classes, 711 test images, 1 template; accuracy.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/classification_set.py",
    "../_base_/default_runtime.py",
]
model = dict(templates="kitti-distance")
test_dataloader = dict(dataset=dict(name="kitti-distance", path="data/elevater/kitti-distance"))
