# The training-free neighbour on grocery test photos.
_base_ = [
    "../_base_/models/knn_lite.py",
    "../_base_/datasets/grocery_zero_shot.py",
    "../_base_/default_runtime.py",
]
