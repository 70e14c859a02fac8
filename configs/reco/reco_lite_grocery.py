# Grocery test photos by 43 names, refined.
_base_ = [
    "../_base_/models/reco_lite.py",
    "../_base_/datasets/grocery_zero_shot.py",
    "../_base_/default_runtime.py",
]
