# Grocery test photos by 43 names. A customized model: --cfg-options model.delta=FILE
_base_ = [
    "../_base_/models/lite.py",
    "../_base_/datasets/grocery_zero_shot.py",
    "../_base_/default_runtime.py",
]
