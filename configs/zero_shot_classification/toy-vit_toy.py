# Zero-shot classification of the drawn world. A customized model: --cfg-options model.delta=FILE
_base_ = [
    "../_base_/models/clip_toy.py",
    "../_base_/datasets/toy_zero_shot.py",
    "../_base_/default_runtime.py",
]
