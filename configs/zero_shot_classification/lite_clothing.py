# Clothing test photos by 10 names. A customized model: --cfg-options model.delta=FILE
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/clothing_zero_shot.py",
    "../_base_/default_runtime.py",
]
