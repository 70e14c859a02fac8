# The training-free neighbour on the drawn world.
_base_ = [
    "../_base_/models/knn_toy.py",
    "../_base_/datasets/toy_zero_shot.py",
    "../_base_/default_runtime.py",
]
