# Refined zero-shot classification of the drawn world.
_base_ = [
    "../_base_/models/reco_toy.py",
    "../_base_/datasets/toy_zero_shot.py",
    "../_base_/default_runtime.py",
]
